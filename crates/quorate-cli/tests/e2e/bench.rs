//! `quorate bench`: what it counts is what the servers did.

use serde_json::Value;

use crate::harness::{Cluster, everything, quorate, runtime, text};

fn bench(arguments: &[&str]) -> Value {
    let all: Vec<&str> =
        ["bench", "--json", "--warm-up", "100ms"].iter().chain(arguments).copied().collect();
    let output = quorate(&all);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn number(of: &Value, name: &str) -> f64 {
    of[name].as_f64().unwrap_or_else(|| panic!("no {name} in {of}"))
}

#[test]
fn a_load_counts_what_the_servers_took() {
    let cluster = Cluster::start(3);
    let endpoints = cluster.plan.endpoints();
    let pids: Vec<String> =
        cluster.processes.iter().flatten().map(|process| process.id().to_string()).collect();
    let revision = || {
        let whole = runtime().block_on(cluster.client().range(everything(false))).unwrap();
        whole.header.unwrap().revision
    };
    let before = revision();
    let short = ["--duration", "500ms", "--clients", "8", "--keys", "100"];
    let mut puts = vec!["put", "--endpoints", &endpoints, "--pids"];
    let pids = pids.join(",");
    puts.push(&pids);
    puts.extend(short);
    let result = &bench(&puts)["result"];
    let written = revision() - before;
    assert!(result["errors"].as_array().unwrap().is_empty(), "{result}");
    let counted = number(result, "requests");
    // The warm-up and what was still under way come on top.
    assert!(counted > 0.0 && counted <= written as f64, "{counted} of {written}");
    assert!(number(result, "p50_ms") <= number(result, "p99_ms"));
    assert!(number(result, "server_micros_per_request") >= 0.0);
    assert!(number(result, "largest_server_bytes") > 1e6);

    let mut gets = vec!["get", "--endpoints", &endpoints, "--target", "followers"];
    gets.extend(short);
    assert!(number(&bench(&gets)["result"], "requests") > 0.0);
    let mut mixed = vec!["mixed", "--endpoints", &endpoints, "--rate", "200"];
    mixed.extend(short);
    assert!(number(&bench(&mixed)["result"], "requests") > 0.0);

    let mut both = vec!["put", "--compare", &endpoints, "--with", &endpoints, "--windows", "2"];
    both.extend(short);
    let compared = bench(&both);
    for side in ["compared", "with"] {
        assert!(number(&compared[side], "requests") > 0.0, "{compared}");
    }
    let ratio: Vec<f64> = compared["ratio_of_rates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_f64().unwrap())
        .collect();
    assert!(ratio[1] <= ratio[0] && ratio[0] <= ratio[2], "{ratio:?}");
}

#[test]
fn a_server_that_missed_entries_comes_back_and_what_that_took_is_told() {
    let short = ["--duration", "500ms", "--clients", "8", "--keys", "100"];
    let mut arguments = vec!["put", "--catch-up", "2000"];
    arguments.extend(short);
    let back = bench(&arguments)["catch_up"].clone();
    assert!(number(&back, "entries_missed") >= 2000.0, "{back}");
    assert!(number(&back, "seconds") > 0.0);
    assert!(number(&back, "entries_per_second") > 0.0);
    for when in ["before", "away", "back"] {
        assert!(number(&back["p99_ms"], when) > 0.0, "{back}");
        assert!(number(&back["per_second"], when) > 0.0, "{back}");
    }
    let one = quorate(&["bench", "put", "--nodes", "1", "--duration", "100ms", "--catch-up", "1"]);
    assert_eq!(one.status.code(), Some(2), "{}", text(&one.stderr));
}

#[test]
fn a_load_that_cannot_be_carried_says_why() {
    let output = quorate(&["bench", "--duration", "1s", "--endpoints", "127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("127.0.0.1:1"), "{}", text(&output.stderr));
    let output = quorate(&["bench", "put", "--serializable"]);
    assert_eq!(output.status.code(), Some(2));
}
