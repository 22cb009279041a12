//! Before a demo starts: its ports, its directory, and checks whose errors name a remedy.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::{env, fs};

use super::Arguments;
use crate::cluster::Plan;
use crate::failure::{Exit, Failure};

/// Ports of a node are these plus a multiple of ten thousand, as in etcd's own examples.
const CLIENT_PORT: u16 = 2379;
const PEER_PORT: u16 = 2380;

/// Lays the cluster out.
pub(super) fn plan(arguments: &Arguments) -> Result<Plan, Failure> {
    let nodes = usize::from(arguments.nodes);
    let clients = ports("--client-ports", &arguments.client_ports, CLIENT_PORT, nodes)?;
    let peers = ports("--peer-ports", &arguments.peer_ports, PEER_PORT, nodes)?;
    let mut all: Vec<u16> = clients.iter().chain(&peers).copied().collect();
    all.sort_unstable();
    if let Some(twice) = all.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Failure::usage(
            format!("port {} is given twice", twice[0]),
            "each server needs two ports of its own",
            "quorate demo --client-ports 2379,22379,32379 --peer-ports 2380,22380,32380",
        ));
    }
    let folder = absolute(&arguments.dir)?;
    check_size(&folder, nodes, &arguments.dir)?;
    Ok(Plan::new(&folder, &clients, &peers))
}

/// The ports of a flag, or the usual ones.
fn ports(flag: &str, given: &[u16], first: u16, nodes: usize) -> Result<Vec<u16>, Failure> {
    if given.is_empty() {
        let usual = (0..nodes).map(|at| {
            let steps = if at == 0 { 0 } else { u16::try_from(at + 1).unwrap_or(0) };
            first + steps * 10_000
        });
        return Ok(usual.collect());
    }
    if given.len() != nodes {
        return Err(Failure::usage(
            format!("{flag} has {} ports for {nodes} servers", given.len()),
            "each server needs one",
            format!("give {nodes} ports with commas between them, or another --nodes"),
        ));
    }
    Ok(given.to_vec())
}

fn absolute(dir: &Path) -> Result<PathBuf, Failure> {
    let made = fs::create_dir_all(dir).and_then(|()| dir.canonicalize());
    made.map_err(|error| {
        Failure::new(
            Exit::Start,
            format!("cannot use the directory {}: {error}", dir.display()),
            "it cannot be made or read here",
            "quorate demo --dir DIR, with a directory that can be written",
        )
    })
}

/// A cluster keeps its number of nodes.
fn check_size(folder: &Path, nodes: usize, dir: &Path) -> Result<(), Failure> {
    let found = (1..=9).take_while(|at| folder.join(format!("n{at}")).is_dir()).count();
    if found == 0 || found == nodes {
        return Ok(());
    }
    Err(Failure::usage(
        format!("{} holds a cluster of {found}, not of {nodes}", dir.display()),
        "a cluster keeps the nodes that founded it",
        format!("quorate demo --nodes {found}, or another --dir"),
    ))
}

/// Finds out which port is taken before any server stumbles over it.
pub(super) fn check_ports(plan: &Plan) -> Result<(), Failure> {
    for node in &plan.nodes {
        let ports = [(node.client_port, "--client-ports"), (node.peer_port, "--peer-ports")];
        for (port, flag) in ports {
            if let Err(error) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                return Err(Failure::new(
                    Exit::Start,
                    format!("{} cannot listen on 127.0.0.1:{port}: {error}", node.name),
                    "another process has the port; another demo, or an etcd?",
                    format!(
                        "stop it (`ss -ltnp 'sport = :{port}'` shows which), or give others with {flag}"
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// This very program.
pub(crate) fn program() -> Result<PathBuf, Failure> {
    env::current_exe().map_err(|error| {
        Failure::new(
            Exit::Start,
            format!("cannot find this program's own file: {error}"),
            "each server is this same program in a process of its own",
            "start it by its full path",
        )
    })
}

/// A command line that can be pasted into a shell.
pub(super) fn command_line(program: &Path, arguments: &[String]) -> String {
    let quoted = |word: &str| {
        let plain = |symbol: char| symbol.is_ascii_alphanumeric() || "-_./:=,".contains(symbol);
        if !word.is_empty() && word.chars().all(plain) {
            word.to_owned()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    let program = program.display().to_string();
    let words = std::iter::once(program.as_str()).chain(arguments.iter().map(String::as_str));
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_ports_are_those_of_etcds_examples() {
        assert_eq!(ports("", &[], CLIENT_PORT, 3).unwrap(), [2379, 22379, 32379]);
        assert_eq!(ports("", &[], PEER_PORT, 5).unwrap(), [2380, 22380, 32380, 42380, 52380]);
        assert_eq!(ports("", &[1, 2], CLIENT_PORT, 2).unwrap(), [1, 2]);
        assert!(ports("--client-ports", &[1], CLIENT_PORT, 2).is_err());
    }

    #[test]
    fn a_command_line_survives_a_shell() {
        let line = command_line(Path::new("/bin/quorate"), &["a b".into(), "it's".into()]);
        assert_eq!(line, r"/bin/quorate 'a b' 'it'\''s'");
    }
}
