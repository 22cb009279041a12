//! Bad input from directories, ports, peers and clients: each ends in an error that names the thing and
//! the remedy, and everything else goes on.

mod client_port;
mod directory;
mod peer_port;
mod settings;

use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{PATIENCE, program, text};

/// Runs a server that should not start, to its end, and returns what it says.
fn refused(arguments: &[String]) -> String {
    let Output { status, stderr, .. } = run_to_end(arguments);
    let said = text(&stderr);
    assert_eq!(status.code(), Some(5), "{said}");
    for part in ["error: ", "\ncause: ", "\nnext:  "] {
        assert!(said.contains(part), "{part:?} is missing: {said}");
    }
    said
}

fn run_to_end(arguments: &[String]) -> Output {
    let mut child = Command::new(program())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            panic!("{arguments:?} did not end; it said: {}", text(&output.stderr));
        }
        thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

/// The arguments of a server with some flags given otherwise.
fn changed(arguments: &[String], changes: &[(&str, &str)]) -> Vec<String> {
    let mut arguments = arguments.to_vec();
    for (flag, value) in changes {
        let at = arguments.iter().position(|argument| argument == flag).expect("the flag is there");
        (*value).clone_into(&mut arguments[at + 1]);
    }
    arguments
}
