//! Three servers in one process, each with a thread of its own for its clients; for a look around.
//!
//! ```text
//! cargo run -p quorate-server --example three -- DIR
//! etcdctl --endpoints 127.0.0.1:12379,127.0.0.1:22379,127.0.0.1:32379 endpoint status -w table
//! ```

use std::error::Error;
use std::path::Path;
use std::thread;

use quorate_server::{Server, ServerConfig};

const PORTS: [(u16, u16); 3] = [(12379, 12380), (22379, 22380), (32379, 32380)];

fn config(dir: &Path, number: usize) -> ServerConfig {
    let name = |number| format!("n{}", number + 1);
    let url = |port| format!("http://127.0.0.1:{port}");
    let (client_port, peer_port) = PORTS[number];
    let mut config = ServerConfig::new(name(number), dir.join(name(number)));
    config.listen_client_urls = vec![url(client_port)];
    config.listen_peer_url = url(peer_port);
    let listed: Vec<String> = PORTS
        .iter()
        .enumerate()
        .map(|(number, (_, peer_port))| format!("{}={}", name(number), url(*peer_port)))
        .collect();
    config.initial_cluster = listed.join(",");
    config
}

fn serve(config: ServerConfig) -> Result<(), Box<dyn Error + Send + Sync>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let server = Server::start(config).await?;
        server.run_until(std::future::pending()).await?;
        Ok(())
    })
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let dir = std::env::args().nth(1).ok_or("name a directory for the data")?;
    let threads: Vec<_> = (0..PORTS.len())
        .map(|number| {
            let config = config(dir.as_ref(), number);
            thread::spawn(move || serve(config))
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| "a server's thread panicked")??;
    }
    Ok(())
}
