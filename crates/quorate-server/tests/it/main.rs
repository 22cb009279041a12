//! Servers with real nodes, over real sockets.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod cluster;
mod mistakes;
mod single;

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use quorate_client::proto::PutRequest;
use quorate_client::{Client, Options};
use quorate_server::{ServeError, Server, ServerConfig};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server in this process, until it is stopped.
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    async fn start(config: ServerConfig) -> Self {
        Self::of(Server::start(config).await.unwrap())
    }

    fn of(server: Server) -> Self {
        let address = server.client_addresses()[0];
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            stopped.await.ok();
        };
        Self { address, stop, task: tokio::spawn(server.run_until(shutdown)) }
    }

    fn client(&self) -> Client {
        let options = Options::default().timeout(Duration::from_secs(10));
        Client::new([self.address.to_string()], options).unwrap()
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

/// Settings of a node by itself, on ports that the system picks.
fn alone(name: &str, data_dir: &Path) -> ServerConfig {
    let mut config = ServerConfig::new(name, data_dir);
    config.listen_client_urls = vec!["http://127.0.0.1:0".to_owned()];
    config.listen_peer_url = format!("http://{}", vacant());
    config
}

/// An address on which nobody listens at the moment.
fn vacant() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn put(key: &str, value: &str) -> PutRequest {
    let bytes = |text: &str| bytes::Bytes::copy_from_slice(text.as_bytes());
    PutRequest { key: bytes(key), value: bytes(value), ..PutRequest::default() }
}
