//! The page that `quorate sim --html` writes, tried out in a real browser without a window.
//!
//! The page tests itself when its address ends in `#selftest` and writes into the document how that
//! went: the slider moves the state there and back, every event is in the list, nothing throws. Here
//! its numbers are compared with the trace of the same seed, and damaged pages must fail.
//!
//! Without a browser the cases say so and are skipped; with `CI=true` they fail.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Names under which the browser is found on the path.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
/// Time that a browser may take for one page.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a page said about itself.
#[derive(Debug)]
struct Report {
    events: u64,
    passed: u64,
    failed: u64,
    /// Term, last index, commit index and applied index of every node at the end.
    nodes: Vec<[u64; 4]>,
    text: String,
}

/// The browser, or nothing where a test may be skipped.
fn browser() -> Option<PathBuf> {
    let named = std::env::var_os("QUORATE_BROWSER").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let on_path = BROWSERS.iter().flat_map(|name| folders.iter().map(move |dir| dir.join(name)));
    let found = named.into_iter().chain(on_path).find(|file| file.is_file());
    if found.is_none() {
        let why = format!("no browser: none of {} is on the path", BROWSERS.join(", "));
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{why}");
        // Written past the capture of the test runner, so that everybody sees it.
        let line = format!("SKIPPED the page in a browser: {why}\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    found
}

/// Runs a seed and writes its page and its trace.
fn simulate(folder: &Path, flags: &[&str]) -> (PathBuf, Vec<Value>) {
    let (page, trace) = (folder.join("run.html"), folder.join("run.jsonl"));
    let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .arg("sim")
        .args(flags)
        .arg("--html")
        .arg(&page)
        .arg("--trace")
        .arg(&trace)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = fs::read_to_string(&trace).unwrap();
    (page, lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// Opens a page at its self test and reads what it says; `None` where it says nothing.
fn open(browser: &Path, page: &Path, folder: &Path) -> Option<Report> {
    let document = folder.join("document.html");
    let mut child = Command::new(browser)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--no-first-run", "--disable-extensions", "--disable-background-networking"])
        .args(["--window-size=1280,800", "--virtual-time-budget=2000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("file://{}#selftest", page.display()))
        .stdout(fs::File::create(&document).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the browser took longer than {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let document = fs::read_to_string(&document).unwrap();
    let report = document.split_once("<pre id=\"selftest\"")?.1.split_once("</pre>")?.0;
    let (head, text) = report.split_once('>')?;
    let attribute = |name: &str| {
        let start = head.split_once(&format!("data-{name}=\""))?.1;
        Some(start.split_once('"')?.0.to_owned())
    };
    let number = |name: &str| attribute(name)?.parse().ok();
    Some(Report {
        events: number("events")?,
        passed: number("passed")?,
        failed: number("failed")?,
        nodes: serde_json::from_str(&attribute("nodes")?).ok()?,
        text: text.to_owned(),
    })
}

/// Highest value of a field over all events of a kind on a node, since it last started.
fn last_of(trace: &[Value], kind: &str, node: u64, field: &str) -> u64 {
    let of_node = |event: &&Value| event["node"] == node;
    let mut last = 0;
    for event in trace.iter().filter(of_node) {
        if event["event"] == "starts" {
            last = if kind == "commits" { event["commit"].as_u64().unwrap() } else { 0 };
        } else if event["event"] == kind {
            last = event[field].as_u64().unwrap();
        }
    }
    last
}

#[test]
fn the_page_plays_the_run_that_the_trace_tells() {
    let Some(browser) = browser() else { return };
    for flags in [
        ["--seed", "12", "--duration", "30s", "--nodes", "5"],
        ["--seed", "3", "--duration", "10s", "--nodes", "3"],
    ] {
        let folder = TempDir::new().unwrap();
        let (page, trace) = simulate(folder.path(), &flags);
        let report = open(&browser, &page, folder.path()).expect("the page reports");
        assert_eq!(report.failed, 0, "{}", report.text);
        assert!(report.passed >= 19, "{}", report.text);
        assert_eq!(report.events, trace.len() as u64 - 1, "events on the page and in the trace");
        assert_eq!(trace[0]["events"], report.events);
        for (at, [_, _, commit, applied]) in report.nodes.iter().enumerate() {
            let node = at as u64 + 1;
            assert_eq!(*commit, last_of(&trace, "commits", node, "index"), "n{node}");
            assert_eq!(*applied, last_of(&trace, "applies", node, "index"), "n{node}");
        }
    }
}

/// The page of the same run, had a rule broken in its middle.
fn break_a_rule(page: &Path) -> usize {
    let text = fs::read_to_string(page).unwrap();
    let (head, rest) = text.split_once("application/json\">").unwrap();
    let (run, tail) = rest.split_once("</script>").unwrap();
    let mut run: Value = serde_json::from_str(run).unwrap();
    let (invariant, what) = ("one leader per term", "n1 and n2 both lead t3\nand that is all");
    let kinds = run["kinds"].as_array_mut().unwrap();
    let kind = kinds.len();
    kinds.push(json!({ "name": "broken", "fields": ["invariant$", "what$"] }));
    let texts = run["texts"].as_array_mut().unwrap();
    let first = texts.len();
    texts.extend([json!(invariant), json!(what)]);
    let events = run["events"].as_array_mut().unwrap();
    // A world ends where a rule breaks.
    events.truncate(events.len() / 2);
    events.push(json!([0, kind, first, first + 1]));
    let count = events.len();
    let at: u64 = events.iter().filter_map(|event| event[0].as_u64()).sum();
    run["header"]["broken"] = json!({ "invariant": invariant, "what": what });
    run["header"]["events"] = json!(count);
    run["header"]["simulated"] = json!(at);
    let run = run.to_string().replace('<', "\\u003c");
    fs::write(page, format!("{head}application/json\">{run}</script>{tail}")).unwrap();
    count
}

#[test]
fn the_page_of_a_broken_run_shows_what_broke_and_the_events_around_it() {
    let Some(browser) = browser() else { return };
    let folder = TempDir::new().unwrap();
    let (page, _) = simulate(folder.path(), &["--seed", "12", "--duration", "20s"]);
    let count = break_a_rule(&page);
    let report = open(&browser, &page, folder.path()).expect("the page reports");
    assert_eq!(report.failed, 0, "{}", report.text);
    assert_eq!(report.events, count as u64);
    for shown in ["the banner names the rule", "the banner leads to where it broke"] {
        assert!(report.text.contains(&format!("ok {shown}")), "{}", report.text);
    }
    // A page that forgets it fails its own test.
    let text = fs::read_to_string(&page).unwrap();
    let damaged = text.replace("if (header.broken) fillBanner();", "");
    assert_ne!(damaged, text, "the page has changed, and this test must follow");
    fs::write(&page, damaged).unwrap();
    let report = open(&browser, &page, folder.path()).expect("the page reports");
    assert!(report.failed > 0, "{}", report.text);
}

/// Runs a scenario of the lab and writes its page; returns how many events were recorded.
fn run_in_lab(page: &Path, suite: &str, scenario: &str) -> u64 {
    let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .args(["lab", "--suite", suite, "--scenario", scenario, "--seed", "1", "--html"])
        .arg(page)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let count = said.lines().find_map(|line| line.split_once(" events in ")).unwrap().0;
    count.parse().unwrap()
}

#[test]
fn the_page_of_a_lab_run_plays_it() {
    let Some(browser) = browser() else { return };
    // A Raft by itself, one with snapshots and crashes, and a service on top of one.
    for (suite, scenario) in [("2B", "R8"), ("2D", "S4"), ("3A", "K5")] {
        let folder = TempDir::new().unwrap();
        let page = folder.path().join("run.html");
        let count = run_in_lab(&page, suite, scenario);
        let report = open(&browser, &page, folder.path()).expect("the page reports");
        assert_eq!(report.failed, 0, "{scenario}: {}", report.text);
        assert_eq!(report.events, count, "{scenario}: events on the page and recorded");
        let [_, last, commit, applied] = report.nodes[0];
        assert!(
            commit > 0 && applied == commit && last >= commit,
            "{scenario}: {:?}",
            report.nodes
        );
        if scenario == "R8" {
            // 101, 103, 104 and 105 everywhere.
            assert!(report.nodes.iter().all(|node| node[1..] == [4, 4, 4]), "{:?}", report.nodes);
        }
        let count = break_a_rule(&page);
        let report = open(&browser, &page, folder.path()).expect("the page reports");
        assert_eq!((report.failed, report.events), (0, count as u64), "{}", report.text);
    }
}

#[test]
fn a_damaged_page_fails_its_own_test() {
    let Some(browser) = browser() else { return };
    let folder = TempDir::new().unwrap();
    let (page, trace) = simulate(folder.path(), &["--seed", "1", "--duration", "2s"]);
    let sound = fs::read_to_string(&page).unwrap();
    let report = open(&browser, &page, folder.path()).expect("the page reports");
    assert_eq!(report.failed, 0, "{}", report.text);
    for (what, from, to) in [
        ("an event too few", "\"events\":[[0,0,1],", "\"events\":["),
        (
            "a script that throws",
            "fillControls();\n",
            "fillControls(); setTimeout(undefined_name);\n",
        ),
        ("a slider that does nothing", "element(\"slider\").oninput", "element(\"slider\").onidle"),
        ("a step that goes missing", "commits(state, node, event)", "omits(state, node, event)"),
        (
            "snapshots of another moment",
            "snapshots.push(copyState(state));\n    applyEvent",
            "applyEvent",
        ),
    ] {
        let damaged = sound.replace(from, to);
        assert_ne!(damaged, sound, "{what}: the page has changed, and this test must follow");
        fs::write(&page, damaged).unwrap();
        let is_found = open(&browser, &page, folder.path()).is_none_or(|report| {
            // What the page does not notice itself a comparison with the trace does.
            let mut nodes = (1..).zip(&report.nodes);
            let differs =
                nodes.any(|(node, at)| at[2] != last_of(&trace, "commits", node, "index"));
            report.failed > 0 || differs
        });
        assert!(is_found, "{what}");
    }
}
