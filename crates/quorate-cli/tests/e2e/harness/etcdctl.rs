//! etcd's own client.

use std::env;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use super::text;

/// Output of etcdctl; `None` when there is none on this machine.
pub(crate) fn etcdctl(endpoints: &str, arguments: &[&str], input: &str) -> Option<String> {
    let output = etcdctl_ends(endpoints, arguments, input)?;
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "etcdctl {arguments:?}: {said}");
    Some(said)
}

/// How etcdctl ends, well or not.
pub(crate) fn etcdctl_ends(endpoints: &str, arguments: &[&str], input: &str) -> Option<Output> {
    let child = Command::new("etcdctl")
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", endpoints])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            assert!(env::var("CI").is_err(), "etcdctl does not start: {error}");
            eprintln!("SKIPPED: etcdctl does not start ({error}); install etcd-client");
            return None;
        }
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Some(child.wait_with_output().unwrap())
}
