//! A proxy that loses replies: the request goes through, then the connection is cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::Random;

/// One of so many pieces of replies is lost, with everything behind it.
const CUTS: usize = 40;

/// A running proxy.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    cuts: Arc<AtomicU64>,
    is_calm: Arc<AtomicBool>,
}

impl Proxy {
    /// Starts one before this port, on the present runtime.
    pub(super) async fn before(target: String, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cuts, is_calm) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let shared = (Arc::clone(&cuts), Arc::clone(&is_calm));
        tokio::spawn(async move {
            let mut connections = seed << 32;
            while let Ok((client, _)) = listener.accept().await {
                connections += 1;
                let random = Random::new(connections);
                tokio::spawn(carry(client, target.clone(), random, shared.clone()));
            }
        });
        Self { address, cuts, is_calm }
    }

    /// Replies lost so far.
    pub(super) fn cuts(&self) -> u64 {
        self.cuts.load(SeqCst)
    }

    /// Loses nothing any more.
    pub(super) fn calm_down(&self) {
        self.is_calm.store(true, SeqCst);
    }
}

/// Carries one connection, until an end closes or a reply is lost.
async fn carry(
    client: TcpStream,
    target: String,
    mut random: Random,
    (cuts, is_calm): (Arc<AtomicU64>, Arc<AtomicBool>),
) {
    // Nobody there: the client finds its connection closed.
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = async move {
        let copied = tokio::io::copy(&mut from_client, &mut to_server).await;
        // What was sent goes through before the way is closed.
        drop(to_server.shutdown().await);
        copied.unwrap_or_default()
    };
    let replies = async move {
        let mut room = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from_server.read(&mut room).await {
            if random.below(CUTS) == 0 && !is_calm.load(SeqCst) {
                cuts.fetch_add(1, SeqCst);
                return;
            }
            if to_client.write_all(&room[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = requests => {}
        () = replies => {}
    }
}
