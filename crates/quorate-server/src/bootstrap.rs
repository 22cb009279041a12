//! From settings to a running server, and back down.
//!
//! The order of the start is the order in which mistakes are cheapest: settings, client ports, then
//! the data directory and the peer port. On the way down the client ports close first, so that what
//! is under way can still be answered.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use quorate::{Node, NodeId, Status};
use quorate_kv::{KvMachine, NoSink};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::archive::FileArchive;
use crate::backend::{Context, Shared};
use crate::budget::{Budget, MAX_INCOMING_BYTES};
use crate::compaction;
use crate::config::{ServerConfig, Settings};
use crate::error::ServeError;
use crate::metrics::Metrics;
use crate::node_backend::NodeBackend;
use crate::port;
use crate::route::Router;
use crate::space::{self, Limits};

/// A running server: a node and its client ports.
///
/// It lives on the tokio runtime that it was started on, which serves all clients; a runtime of one
/// thread serves them best.
pub struct Server {
    node: Node<KvMachine>,
    addresses: Vec<SocketAddr>,
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("node", &self.node.id())
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Starts a server. It accepts clients from here on and tells them what it waits for until it
    /// belongs to a cluster with a leader.
    ///
    /// # Errors
    ///
    /// When a setting is wrong, an address cannot be listened on, or the data directory cannot be
    /// used; the error names it and says what to do.
    pub async fn start(config: ServerConfig) -> Result<Self, ServeError> {
        let settings = config.validate()?;
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for address in &settings.listen_client {
            let listener = port::listen(address).await?;
            addresses.push(port::address(&listener, address)?);
            listeners.push(listener);
        }
        let node = start_node(&config, settings, &addresses).await?;
        let context = Arc::new(Context {
            backend: NodeBackend::new(&node),
            max_request_bytes: config.max_request_bytes,
            quota_bytes: config.quota_backend_bytes.unwrap_or(0),
            incoming: Budget::new(MAX_INCOMING_BYTES),
            metrics: Metrics::default(),
        });
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(count_leaders(node.status(), Shared::clone(&context)));
        tasks.spawn(compare_client_urls(node.status(), client_urls(&config, &addresses)));
        let limits =
            Limits { quota: config.quota_backend_bytes, data_dir: config.data_dir.clone() };
        let watch = space::run(limits, Shared::clone(&context));
        tasks.spawn(until_gone(node.status(), watch));
        if let Some(keeps) = config.auto_compaction {
            let compact = compaction::run(keeps, Shared::clone(&context));
            tasks.spawn(until_gone(node.status(), compact));
        }
        let router = Router::new(context);
        let room = Arc::new(Semaphore::new(config.max_connections.min(Semaphore::MAX_PERMITS)));
        for (listener, address) in listeners.into_iter().zip(&addresses) {
            tracing::info!(%address, "clients are served");
            spawn_port(&mut tasks, listener, &router, (&room, &stopped));
        }
        Ok(Self { node, addresses, tasks, stop })
    }

    /// Where clients are served.
    #[must_use]
    pub fn client_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Identity of the data directory, which clients see as the member's id.
    #[must_use]
    pub const fn id(&self) -> NodeId {
        self.node.id()
    }

    /// What the node is, from moment to moment.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.node.status()
    }

    /// Waits until the node belongs to a cluster and knows its leader.
    ///
    /// # Errors
    ///
    /// When the node stops first.
    pub async fn ready(&self) -> Result<(), ServeError> {
        self.node.ready().await.map_err(ServeError::Stopped)
    }

    /// Serves until `shutdown` is there or the node stops by itself, then finishes what is under
    /// way, closes the ports and releases the data directory.
    ///
    /// # Errors
    ///
    /// When the node stopped by itself; says why.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let Self { node, mut tasks, stop, .. } = self;
        tokio::select! {
            () = shutdown => {}
            reason = node.stopped() => tracing::error!(%reason, "the node stopped"),
        }
        stop.send_replace(true);
        let finish = async { while tasks.join_next().await.is_some() {} };
        // The task that follows the leader ends with the node.
        let (stopped, ()) = tokio::join!(
            async {
                port::closed(&stop).await;
                node.shutdown().await
            },
            finish
        );
        stopped.map_err(ServeError::Stopped)
    }
}

/// Opens the data directory and the peer port.
async fn start_node(
    config: &ServerConfig,
    settings: Settings,
    client_addresses: &[SocketAddr],
) -> Result<Node<KvMachine>, ServeError> {
    let archive = FileArchive::new(config.data_dir.clone());
    let mut builder = Node::builder_with(KvMachine::with_archive(NoSink, Box::new(archive)))
        .name(&config.name)
        .data_dir(&config.data_dir)
        .listen(settings.listen_peer)
        .advertise(settings.advertise_peer)
        .client_urls(client_urls(config, client_addresses))
        .join_or_form_named(settings.peers);
    if let Some(count) = config.snapshot_count {
        builder = builder.snapshot_entries(count);
    }
    if let Some(interval) = config.heartbeat_interval {
        builder = builder.heartbeat_interval(interval);
    }
    if let Some(shortest) = config.election_timeout {
        builder = builder.election_timeout(shortest, shortest.saturating_mul(2));
    }
    Ok(builder.start().await?)
}

/// Where clients are to come.
fn client_urls(config: &ServerConfig, addresses: &[SocketAddr]) -> Vec<String> {
    if config.advertise_client_urls.is_empty() {
        addresses.iter().map(client_url).collect()
    } else {
        config.advertise_client_urls.clone()
    }
}

/// How clients on this machine reach an address.
fn client_url(address: &SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("http://localhost:{}", address.port())
    } else {
        format!("http://{address}")
    }
}

fn spawn_port(
    tasks: &mut JoinSet<()>,
    listener: TcpListener,
    router: &Router<NodeBackend>,
    (room, stopped): (&Arc<Semaphore>, &watch::Receiver<bool>),
) {
    tasks.spawn(port::serve(listener, router.clone(), Arc::clone(room), stopped.clone()));
}

/// Counts changes of the leader until the node is gone.
async fn count_leaders(mut status: watch::Receiver<Status>, context: Shared<NodeBackend>) {
    let mut known = None;
    loop {
        let leader = {
            let status = status.borrow_and_update();
            if status.stopped.is_some() {
                return;
            }
            status.leader
        };
        if leader.is_some() && leader != known {
            context.metrics.leader_changed();
            known = leader;
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}

/// Says so when the list of members has other addresses of this server than its settings: the list
/// is made when the cluster is founded or restored, and a start changes nothing in it.
async fn compare_client_urls(mut status: watch::Receiver<Status>, urls: Vec<String>) {
    let is_known = |status: &Status| status.members.is_some() || status.stopped.is_some();
    let Ok(status) = status.wait_for(is_known).await else { return };
    let member = status.members.as_deref().and_then(|members| members.member(status.node));
    let Some(listed) = member.map(|member| &member.client_urls) else { return };
    if differ(listed, &urls) {
        tracing::warn!(
            listed = %listed.join(","),
            here = %urls.join(","),
            "clients that ask for the members are told of other addresses than this server's: those \
             of when the cluster was founded or restored; give clients the right ones as endpoints"
        );
    }
}

fn differ(listed: &[String], own: &[String]) -> bool {
    let set = |urls: &[String]| -> BTreeSet<String> {
        urls.iter().map(|url| url.trim_end_matches('/').to_owned()).collect()
    };
    set(listed) != set(own)
}

/// Does what never ends until the node is gone.
async fn until_gone(mut status: watch::Receiver<Status>, work: impl Future<Output = ()>) {
    let gone = async { drop(status.wait_for(|status| status.stopped.is_some()).await) };
    tokio::select! {
        () = gone => {}
        () = work => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_sent_where_they_can_come() {
        let url = |address: &str| client_url(&address.parse().unwrap());
        assert_eq!(url("127.0.0.1:2379"), "http://127.0.0.1:2379");
        assert_eq!(url("0.0.0.0:2379"), "http://localhost:2379");
        assert_eq!(url("[::]:2379"), "http://localhost:2379");
        assert_eq!(url("[::1]:2379"), "http://[::1]:2379");
    }

    #[test]
    fn addresses_differ_by_what_they_are_and_not_by_how_they_are_written() {
        let urls = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let differ = |listed, own| differ(&urls(listed), &urls(own));
        assert!(!differ("http://a:1 http://a:2", "http://a:2/ http://a:1"));
        assert!(differ("http://a:1", "http://a:2"));
        assert!(differ("", "http://a:1"));
        assert!(differ("http://a:1 http://a:2", "http://a:1"));
    }
}
