//! The binary's own verbs against a real cluster: output, errors, exit codes.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::harness::{Cluster, program, quorate, text};

#[test]
fn a_bare_call_says_what_the_program_can_do() {
    let output = quorate(&[]);
    assert!(output.status.success());
    let said = text(&output.stdout);
    for verb in ["demo", "serve", "get", "put", "del", "txn", "status", "member", "snapshot", "sim"]
    {
        assert!(said.contains(&format!("\n  {verb} ")), "{verb} is missing:\n{said}");
    }
    assert!(said.contains("Exit codes"));
}

#[test]
fn the_client_verbs_do_what_etcdctl_does() {
    let cluster = Cluster::start(3);
    let endpoints = cluster.plan.endpoints();
    let run = |arguments: &[&str]| {
        let output = quorate(&[arguments, &["--endpoints", &endpoints]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    assert_eq!(run(&["put", "a", "1"]), "OK\n");
    assert_eq!(run(&["put", "a", "2", "--prev-kv"]), "OK\na\n1\n");
    assert_eq!(run(&["put", "ab", "3"]), "OK\n");
    assert_eq!(run(&["get", "a"]), "a\n2\n");
    assert_eq!(run(&["get", "a", "--rev", "2"]), "a\n1\n");
    assert_eq!(run(&["get", "a", "--prefix", "--print-value-only"]), "2\n3\n");
    assert_eq!(run(&["get", "", "--from-key", "--limit", "1"]), "a\n2\n");
    assert_eq!(run(&["get", "a", "--prefix", "--order", "descend", "--keys-only"]), "ab\n\na\n\n");
    assert_eq!(run(&["get", "a", "--consistency", "s"]), "a\n2\n");
    assert!(run(&["get", "a", "-w", "json"]).contains("\"key\":\"YQ==\""));
    assert!(run(&["get", "a", "-w", "fields"]).contains("\"Value\" : \"2\""));
    assert_eq!(run(&["del", "a", "--prefix"]), "2\n");
    assert_eq!(run(&["get", "a"]), "");
    assert_eq!(run(&["member", "list"]).lines().count(), 3);
    let status = run(&["status"]);
    assert!(status.contains("IS LEADER"), "{status}");
    assert_eq!(status.matches("|      true |").count(), 1, "{status}");
    assert_eq!(run(&["endpoint", "health"]).matches("is healthy").count(), 3);
}

#[test]
fn transactions_and_values_come_from_standard_input() {
    let cluster = Cluster::start(1);
    let run = |verb: &[&str], input: &str| {
        let mut child = Command::new(program())
            .args(verb)
            .args(["--endpoints", &cluster.plan.endpoints()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        text(&output.stdout)
    };
    assert_eq!(run(&["put", "a"], "from input"), "OK\n");
    let script = "value(\"a\") = \"from input\"\n\nput a changed\nget a\n\nget a\n\n";
    assert_eq!(run(&["txn"], script), "SUCCESS\n\nOK\n\na\nchanged\n");
    assert_eq!(run(&["txn"], script), "FAILURE\n\na\nchanged\n");
}

#[test]
fn every_error_says_what_the_cause_and_the_next_command() {
    let cluster = Cluster::start(1);
    let endpoints = cluster.plan.endpoints();
    let cases: [(&[&str], i32, &str); 6] = [
        (&["get", "a", "--endpoints", "127.0.0.1:1"], 3, "127.0.0.1:1"),
        (&["get", "a", "--endpoints", "nowhere"], 2, "nowhere"),
        (&["get", "a", "--prefix", "--from-key"], 2, "--from-key"),
        (&["get", "a", "-w", "table", "--endpoints", &endpoints], 2, "table"),
        (&["get", "a", "--rev", "999", "--endpoints", &endpoints], 1, "future revision"),
        (&["put", "", "x", "--endpoints", &endpoints], 1, "key is not provided"),
    ];
    for (arguments, code, named) in cases {
        let output = quorate(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(named), "{arguments:?}: {said}");
        for part in ["error: ", "\ncause: ", "\nnext:  "] {
            assert!(said.contains(part), "{arguments:?} lacks {part:?}: {said}");
        }
    }
    assert_eq!(quorate(&["got", "a"]).status.code(), Some(2));
}

#[test]
fn simulated_worlds_run_and_wrong_flags_are_explained() {
    let run = |flags: &[&str]| quorate(&[&["sim"], flags].concat());
    let twice = run(&["--seeds", "3..6", "--duration", "2s", "--twice", "--soak"]);
    assert!(twice.status.success(), "{}", text(&twice.stderr));
    let said = text(&twice.stdout);
    let end = "soak: seeds 3..6 clean, each twice with the same hash";
    assert!(said.contains(end), "{said}");
    assert!(said.contains("simulated seconds per second of one core"), "{said}");
    // The same seed is the same run, whatever else runs beside it.
    let hash = |flags: &[&str]| {
        let output = run(flags);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).rsplit("hash ").next().unwrap().to_owned()
    };
    let one = ["--seed", "4", "--duration", "2s"];
    assert_eq!(hash(&one), hash(&one));
    assert_ne!(hash(&one), hash(&["--seed", "5", "--duration", "2s"]));
    assert!(text(&run(&["--list-faults"]).stdout).contains("| crash-in-recovery |"));
    let cases: [(&[&str], &str); 7] = [
        (&["--seeds", "5"], "0..600"),
        (&["--seeds", "5..5"], "holds no seed"),
        (&["--faults", "drip"], "drip"),
        (&["--duration", "60"], "60s"),
        (&["--nodes", "10"], "1..=9"),
        (&["--html", "run.html"], "--seed"),
        (&["--seed", "1", "--html", "/nowhere/run.html"], "/nowhere/run.html"),
    ];
    for (flags, named) in cases {
        let output = run(flags);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {said}");
        assert!(said.contains(named), "{flags:?}: {said}");
    }
}
