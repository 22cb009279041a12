//! A closed loop of puts or gets against any etcd v3 endpoint, to set two servers side by side.
//!
//! ```text
//! cargo run --release -p quorate-client --example load -- \
//!     --endpoints 127.0.0.1:2379 --clients 64 --seconds 5 --op put
//! ```
//!
//! It finds the leader first and loads that endpoint alone. Values have 256 bytes, keys are drawn
//! from a hundred thousand. Prints operations per second and latencies; errors end the run.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::time::{Duration, Instant};

use quorate_proto::etcdserverpb::kv_client::KvClient;
use quorate_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use quorate_proto::etcdserverpb::{PutRequest, RangeRequest, StatusRequest};
use tonic::transport::{Channel, Endpoint};

/// Connections that the clients share.
const CONNECTIONS: usize = 16;

#[derive(Clone)]
struct Settings {
    endpoints: Vec<String>,
    clients: usize,
    warm_up: Duration,
    length: Duration,
    gets: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let settings = settings(std::env::args().skip(1))?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(settings))
}

fn settings(mut args: impl Iterator<Item = String>) -> Result<Settings, Box<dyn Error>> {
    let mut settings = Settings {
        endpoints: vec!["127.0.0.1:2379".to_owned()],
        clients: 64,
        warm_up: Duration::from_secs(1),
        length: Duration::from_secs(5),
        gets: false,
    };
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(|| format!("{name} wants a value"))?;
        match name.as_str() {
            "--endpoints" => settings.endpoints = value.split(',').map(str::to_owned).collect(),
            "--clients" => settings.clients = value.parse()?,
            "--seconds" => settings.length = Duration::from_secs(value.parse()?),
            "--op" => settings.gets = value == "get",
            _ => return Err(format!("{name} is not an option of this example").into()),
        }
    }
    Ok(settings)
}

async fn run(settings: Settings) -> Result<(), Box<dyn Error>> {
    let leader = find_leader(&settings.endpoints).await?;
    let mut channels = Vec::new();
    for _ in 0..CONNECTIONS.min(settings.clients) {
        channels.push(connect(&leader).await?);
    }
    let begin = Instant::now() + settings.warm_up;
    let end = begin + settings.length;
    let mut tasks = Vec::new();
    for client in 0..settings.clients {
        let channel = channels[client % channels.len()].clone();
        tasks.push(tokio::spawn(one_client(channel, client as u64, begin, end, settings.gets)));
    }
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await??);
    }
    latencies.sort_unstable();
    let at = |per_mille: usize| {
        let place = latencies.len() * per_mille / 1000;
        latencies.get(place.min(latencies.len().saturating_sub(1))).map_or(0.0, |l| *l as f64 / 1e3)
    };
    let rate = latencies.len() as f64 / settings.length.as_secs_f64();
    println!(
        "{} clients at {leader}: {rate:.0}/s, p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
        settings.clients,
        at(500),
        at(990),
        at(1000),
    );
    Ok(())
}

async fn one_client(
    channel: Channel,
    seed: u64,
    begin: Instant,
    end: Instant,
    gets: bool,
) -> Result<Vec<u64>, tonic::Status> {
    let mut kv = KvClient::new(channel);
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let value = vec![b'x'; 256];
    let mut latencies = Vec::new();
    loop {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let key = format!("key{:06}", (state >> 33) % 100_000).into_bytes();
        let start = Instant::now();
        if gets {
            kv.range(RangeRequest { key: key.into(), ..RangeRequest::default() }).await?;
        } else {
            let value = value.clone().into();
            kv.put(PutRequest { key: key.into(), value, ..PutRequest::default() }).await?;
        }
        let done = Instant::now();
        if done >= end {
            return Ok(latencies);
        }
        if start >= begin {
            latencies.push(u64::try_from((done - start).as_micros()).unwrap_or(u64::MAX));
        }
    }
}

async fn find_leader(endpoints: &[String]) -> Result<String, Box<dyn Error>> {
    for endpoint in endpoints {
        let mut maintenance = MaintenanceClient::new(connect(endpoint).await?);
        let status = maintenance.status(StatusRequest::default()).await?.into_inner();
        if status.header.is_some_and(|header| header.member_id == status.leader) {
            return Ok(endpoint.clone());
        }
    }
    Err("none of the endpoints leads".into())
}

async fn connect(endpoint: &str) -> Result<Channel, tonic::transport::Error> {
    Endpoint::from_shared(format!("http://{endpoint}"))?.tcp_nodelay(true).connect().await
}
