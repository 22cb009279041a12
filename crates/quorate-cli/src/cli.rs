//! The command line as a whole: which verbs there are, and what they share.

use clap::{Parser, Subcommand};

use crate::verb::{
    append, bench, del, demo, endpoint, failover, get, lab, member, put, serve, sim, snapshot,
    status, txn,
};

const AFTER_HELP: &str = "\
Try it:
  quorate demo                          three servers on this machine; Ctrl-C stops them
  quorate put greeting hello            in another terminal
  quorate get greeting
  quorate status
  quorate sim --seeds 0..20             twenty clusters that are broken on purpose
  quorate lab --suite 2B                a scenario a line, as the Raft labs count them

Exit codes:
  0  done
  1  refused: a server answered, and nothing was changed
  2  the command line could not be understood
  3  no server could answer; nothing was changed
  4  a write was sent and may or may not have happened
  5  a server could not start: its settings, its directory or its ports
  6  a server stopped by itself
  7  a simulated world or a lab scenario broke a rule

Environment: QUORATE_ENDPOINTS or ETCDCTL_ENDPOINTS for the client verbs; for `serve` every
flag as QUORATE_NAME or ETCD_NAME, e.g. QUORATE_DATA_DIR. NO_COLOR is respected.";

/// A replicated store that speaks the etcd v3 API.
#[derive(Debug, Parser)]
#[command(name = "quorate", version, about, after_help = AFTER_HELP, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Option<Verb>,
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Start a cluster of real server processes on this machine
    Demo(demo::Arguments),
    /// Run one server, with etcd's flag names
    Serve(Box<serve::Arguments>),
    /// Read a key or a range of keys
    Get(get::Arguments),
    /// Write a key
    Put(put::Arguments),
    /// Add to the end of a value, exactly once
    Append(append::Arguments),
    /// Delete a key or a range of keys
    Del(del::Arguments),
    /// Run a transaction, read from standard input
    Txn(txn::Arguments),
    /// Show who leads and how far each server is
    Status(status::Arguments),
    /// Ask each endpoint, with etcdctl's words: `endpoint status`, `endpoint health`
    Endpoint(endpoint::Arguments),
    /// Show the members of the cluster: `member list`
    Member(member::Arguments),
    /// Back up the store, look at a backup, begin a cluster from one: `snapshot save|status|restore`
    Snapshot(snapshot::Arguments),
    /// Measure the time from killing a leader to the first write after it
    Failover(failover::Arguments),
    /// Load any server that speaks the etcd v3 API, and say what it cost
    Bench(Box<bench::Arguments>),
    /// Run whole clusters in simulated worlds, break them on purpose, and check every step
    Sim(Box<sim::Arguments>),
    /// Put Raft through the labs that teach it: every scenario of four of them
    Lab(lab::Arguments),
    /// Show the version
    Version,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_does_not_contradict_itself() {
        Cli::command().debug_assert();
    }
}
