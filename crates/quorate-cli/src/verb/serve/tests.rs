//! How flags and environment become settings.

use clap::{CommandFactory, Parser};
use quorate::{SNAPSHOT_BYTES, SNAPSHOT_ENTRIES};

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

fn settle(words: &[&str], variables: &[(&str, &str)]) -> Result<Start, Failure> {
    let line = Line::try_parse_from([&["serve"], words].concat()).unwrap();
    line.arguments.settle(|flag| {
        variables.iter().find(|(name, _)| *name == flag).map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn a_server_without_flags_is_a_cluster_of_its_own_on_etcds_ports() {
    let start = settle(&[], &[]).unwrap();
    assert_eq!(start.config.name, "default");
    assert_eq!(start.config.data_dir, PathBuf::from("default.quorate"));
    assert_eq!(start.config.listen_client_urls, ["http://127.0.0.1:2379"]);
    assert!(start.without_effect.is_empty());
    start.config.validate().unwrap();
}

#[test]
fn flags_win_over_the_environment() {
    let variables = [("name", "n2"), ("data-dir", "d"), ("heartbeat-interval", "50")];
    let start = settle(&["--name", "n1", "--election-timeout", "500"], &variables).unwrap();
    assert_eq!(start.config.name, "n1");
    assert_eq!(start.config.data_dir, PathBuf::from("d"));
    assert_eq!(start.config.heartbeat_interval, Some(Duration::from_millis(50)));
    assert_eq!(start.config.election_timeout, Some(Duration::from_millis(500)));
}

#[test]
fn lists_of_addresses_are_taken_apart() {
    let urls = "http://127.0.0.1:1, http://127.0.0.1:2";
    let start = settle(&["--listen-client-urls", urls], &[]).unwrap();
    assert_eq!(start.config.listen_client_urls.len(), 2);
    assert!(settle(&["--listen-peer-urls", urls], &[]).is_err());
    assert!(settle(&["--heartbeat-interval", "100ms"], &[]).is_err());
    assert!(settle(&["--heartbeat-interval", "0"], &[]).is_err());
}

#[test]
fn flags_of_etcd_without_effect_are_accepted_and_named() {
    let words = ["--initial-cluster-state", "new", "--pre-vote=true", "--logger", "zap"];
    let start = settle(&words, &[]).unwrap();
    let flags: Vec<&str> = start.without_effect.iter().map(|(flag, _)| *flag).collect();
    assert_eq!(flags, ["initial-cluster-state", "pre-vote", "logger"]);
    assert!(Line::try_parse_from(["serve", "--max-wals", "1"]).is_err());
}

#[test]
fn the_help_tells_when_the_library_takes_snapshots() {
    let command = Line::command();
    let flag = command.get_arguments().find(|flag| flag.get_long() == Some("snapshot-count"));
    let help = flag.unwrap().get_help().unwrap().to_string();
    let (entries, bytes) = (SNAPSHOT_ENTRIES, SNAPSHOT_BYTES >> 20);
    assert!(help.contains(&format!("[default: {entries}]")), "{help}");
    assert!(help.contains(&format!("{bytes} MiB")), "{help}");
}
