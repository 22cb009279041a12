//! Which nodes a cluster on this machine has: names, ports, directories, and the command line of each.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::{io, process};

/// A cluster on this machine.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The nodes, `n1` first.
    pub nodes: Vec<PlannedNode>,
}

/// One node of a plan.
#[derive(Debug, Clone)]
pub struct PlannedNode {
    /// Its name among people.
    pub name: String,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// Where what it says is kept.
    pub log_file: PathBuf,
    /// Port of clients, on loopback.
    pub client_port: u16,
    /// Port of the other nodes, on loopback.
    pub peer_port: u16,
}

impl PlannedNode {
    /// Where clients find it, as `host:port`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.client_port)
    }

    /// Where the other nodes find it, as `host:port`.
    #[must_use]
    pub fn peer(&self) -> String {
        format!("127.0.0.1:{}", self.peer_port)
    }
}

impl Plan {
    /// Lays out a node for each pair of ports, in directories `n1`, `n2`, … of one directory.
    ///
    /// # Panics
    ///
    /// When there are not as many peer ports as client ports.
    #[must_use]
    pub fn new(folder: &Path, client_ports: &[u16], peer_ports: &[u16]) -> Self {
        assert_eq!(client_ports.len(), peer_ports.len(), "each node has both ports");
        let node = |(at, (&client_port, &peer_port))| {
            let name = format!("n{}", at + 1_usize);
            PlannedNode {
                data_dir: folder.join(&name),
                log_file: folder.join(format!("{name}.log")),
                name,
                client_port,
                peer_port,
            }
        };
        Self { nodes: client_ports.iter().zip(peer_ports).enumerate().map(node).collect() }
    }

    /// Lays out nodes on ports that are free.
    ///
    /// # Errors
    ///
    /// When the system gives no port.
    pub fn on_free_ports(folder: &Path, nodes: usize) -> io::Result<Self> {
        let ports = free_ports(nodes * 2)?;
        let (client_ports, peer_ports) = ports.split_at(nodes);
        Ok(Self::new(folder, client_ports, peer_ports))
    }

    /// All endpoints of clients, with commas, as etcdctl's `--endpoints` wants them.
    #[must_use]
    pub fn endpoints(&self) -> String {
        self.nodes.iter().map(PlannedNode::endpoint).collect::<Vec<_>>().join(",")
    }

    /// The value of `--initial-cluster`.
    #[must_use]
    pub fn initial_cluster(&self) -> String {
        let entry = |node: &PlannedNode| format!("{}=http://{}", node.name, node.peer());
        self.nodes.iter().map(entry).collect::<Vec<_>>().join(",")
    }

    /// The arguments that start a node.
    #[must_use]
    pub fn serve_arguments(&self, node: &PlannedNode) -> Vec<String> {
        let client = format!("http://{}", node.endpoint());
        let peer = format!("http://{}", node.peer());
        let flags = [
            ("--name", node.name.clone()),
            ("--data-dir", node.data_dir.display().to_string()),
            ("--listen-client-urls", client.clone()),
            ("--advertise-client-urls", client),
            ("--listen-peer-urls", peer.clone()),
            ("--initial-advertise-peer-urls", peer),
            ("--initial-cluster", self.initial_cluster()),
        ];
        let arguments = flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
        std::iter::once("serve".to_owned()).chain(arguments).collect()
    }
}

/// Where the search for free ports goes: below the ports that systems give to outgoing connections,
/// because one of those could take a server's port while the server is down.
const SEARCHED: Range<u16> = 10_000..32_000;

/// Finds ports that nobody listens on; no two calls of one process find the same.
///
/// They are free when this returns, and nothing keeps another process from taking them; processes
/// begin their search at different places, so that this is rare.
///
/// # Errors
///
/// When the system gives no port.
pub fn free_ports(count: usize) -> io::Result<Vec<u16>> {
    static SEARCHES: AtomicU32 = AtomicU32::new(0);
    let size = u32::from(SEARCHED.end - SEARCHED.start);
    let mut ports = Vec::with_capacity(count);
    for _ in 0..size {
        if ports.len() == count {
            return Ok(ports);
        }
        let at = process::id().wrapping_mul(97).wrapping_add(SEARCHES.fetch_add(1, Relaxed)) % size;
        let port = SEARCHED.start + u16::try_from(at).unwrap_or(0);
        let is_usual = matches!(port % 10_000, 2379 | 2380);
        if !is_usual && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            ports.push(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no port from 10000 to 31999 is free"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_gives_each_node_its_own_ports_and_directory() {
        let plan = Plan::new(Path::new("d"), &[2379, 22379], &[2380, 22380]);
        assert_eq!(plan.endpoints(), "127.0.0.1:2379,127.0.0.1:22379");
        assert_eq!(plan.initial_cluster(), "n1=http://127.0.0.1:2380,n2=http://127.0.0.1:22380");
        let arguments = plan.serve_arguments(&plan.nodes[1]).join(" ");
        assert!(arguments.starts_with("serve --name n2 --data-dir d/n2 --listen-client-urls"));
    }

    #[test]
    fn free_ports_differ() {
        let mut ports = free_ports(4).unwrap();
        ports.extend(free_ports(4).unwrap());
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 8);
    }
}
