//! Why a server did not start or did not go on, as an operator reads it: the server's own words, the
//! likely cause, the next step.

use quorate::StartError;
use quorate_server::{ConfigError, ServeError};

use crate::failure::{Exit, Failure};

/// Explains why there is no server.
pub(super) fn explain(error: &ServeError) -> Failure {
    let (exit, cause, next) = match error {
        ServeError::Config(error) => {
            let (cause, next) = wrong_setting(error);
            (Exit::Start, cause, next)
        }
        ServeError::Listen { .. } => (
            Exit::Start,
            "another server runs there, or the address is not one of this machine's",
            "`ss -ltnp` shows who listens where; --listen-client-urls http://HOST:PORT",
        ),
        ServeError::Start(error) => {
            let (cause, next) = no_start(error);
            (Exit::Start, cause, next)
        }
        ServeError::Stopped(_) => (
            Exit::Stopped,
            "the node cannot go on without risking what it acknowledged",
            "do what it says, then start it again; the other nodes go on meanwhile",
        ),
        // The enum may grow.
        _ => (Exit::Start, "what it says names the cause", "quorate serve --help"),
    };
    Failure::new(exit, error.to_string(), cause, next)
}

fn wrong_setting(error: &ConfigError) -> (&'static str, &'static str) {
    match error {
        ConfigError::Empty { .. } => {
            ("a flag or a variable is set, but to nothing", "give it a value, or leave it out")
        }
        ConfigError::Url { .. } => {
            ("an address is a URL with host and port", "write it as http://HOST:PORT")
        }
        ConfigError::ClusterSyntax { .. } => (
            "the list names every founding node with its peer address",
            "--initial-cluster n1=http://HOST:2380,n2=http://HOST:2380,n3=http://HOST:2380",
        ),
        ConfigError::DuplicateName { .. } | ConfigError::DuplicateAddress { .. } => (
            "a line was copied and not changed",
            "give each node a name and a peer address of its own in --initial-cluster",
        ),
        ConfigError::OwnName { .. } | ConfigError::OwnAddress { .. } => (
            "the list is the same on every node, and each must find itself in it",
            "make --name, --initial-advertise-peer-urls and --initial-cluster agree",
        ),
        // The enum may grow.
        _ => ("a setting is wrong", "quorate serve --help"),
    }
}

fn no_start(error: &StartError) -> (&'static str, &'static str) {
    match error {
        StartError::Listen { .. } => (
            "another node runs there, or the address is not one of this machine's",
            "`ss -ltnp` shows who listens where; --listen-peer-urls http://HOST:PORT",
        ),
        StartError::Config(_) => (
            "--heartbeat-interval and --election-timeout must fit each other",
            "leave both out, or give an election timeout of several heartbeats",
        ),
        StartError::Open(_)
        | StartError::BadRecord { .. }
        | StartError::ForeignRecord(_)
        | StartError::Replica { .. }
        | StartError::LastEntry { .. } => (
            "the directory is in use, was copied or damaged, or is not this node's",
            "check --data-dir; never delete it before you know that the other nodes have the data",
        ),
        StartError::NoEntropy { .. }
        | StartError::System { .. }
        | StartError::Interrupted { .. } => (
            "the system is out of resources",
            "raise the limits of the process (`ulimit -a`) and start it again",
        ),
        _ => ("a setting is wrong", "quorate serve --help"),
    }
}
