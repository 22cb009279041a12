//! Three nodes: every one of them serves every request, and two go on without the third.

use quorate_client::CallError;
use quorate_client::proto::RangeRequest;

use super::*;

/// Settings of three nodes that found a cluster.
fn three(dir: &Path) -> [ServerConfig; 3] {
    let mut configs = ["n1", "n2", "n3"].map(|name| alone(name, &dir.join(name)));
    let listed: Vec<String> = configs
        .iter()
        .map(|config| format!("{}={}", config.name, config.listen_peer_url))
        .collect();
    for config in &mut configs {
        config.initial_cluster = listed.join(",");
    }
    configs
}

async fn start(configs: &[ServerConfig]) -> Vec<Running> {
    let mut servers = Vec::new();
    for config in configs {
        servers.push(Server::start(config.clone()).await.unwrap());
    }
    for server in &servers {
        server.ready().await.unwrap();
    }
    servers.into_iter().map(Running::of).collect()
}

#[tokio::test]
async fn every_node_serves_every_request() {
    let dir = tempfile::tempdir().unwrap();
    let servers = start(&three(dir.path())).await;
    let mut identities = Vec::new();
    for (number, server) in servers.iter().enumerate() {
        let key = format!("k{number}");
        let header = server.client().put(put(&key, "v")).await.unwrap().header.unwrap();
        identities.push((header.cluster_id, header.member_id));
        // A read through any other node sees the write that was acknowledged before it.
        for other in &servers {
            let found = other.client().get(key.as_bytes()).await.unwrap().unwrap();
            assert_eq!(found.mod_revision, header.revision);
        }
    }
    assert!(identities.iter().all(|(cluster, _)| *cluster == identities[0].0));
    let mut members: Vec<u64> = identities.iter().map(|(_, member)| *member).collect();
    members.sort_unstable();
    let listed = servers[0].client().member_list().await.unwrap().members;
    let mut ids: Vec<u64> = listed.iter().map(|member| member.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, members);
    let mut leaders = Vec::new();
    for server in &servers {
        leaders.push(server.client().status().await.unwrap().leader);
    }
    assert!(members.contains(&leaders[0]) && leaders.iter().all(|leader| *leader == leaders[0]));
    for server in servers {
        server.stop().await;
    }
}

#[tokio::test]
async fn two_of_three_go_on_and_one_of_three_serves_only_local_reads() {
    let dir = tempfile::tempdir().unwrap();
    let mut servers = start(&three(dir.path())).await;
    let client = servers[2].client();
    client.put(put("a", "1")).await.unwrap();
    // The leader goes if it is not the one that stays.
    servers.remove(0).stop().await;
    client.put(put("a", "2")).await.unwrap();
    servers.remove(0).stop().await;

    let last = servers.remove(0);
    let short = Options::default().timeout(Duration::from_secs(4));
    let client = Client::new([last.address.to_string()], short).unwrap();
    let error = client.put(put("a", "3")).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("etcdserver: ") || text.contains("no answer within"), "{text}");
    assert!(client.get("a").await.is_err(), "a linearizable read needs a majority");
    let local = RangeRequest { key: "a".into(), serializable: true, ..Default::default() };
    assert_eq!(&*client.range(local).await.unwrap().kvs[0].value, b"2");
    assert!(!matches!(error, CallError::Refused { .. }), "another endpoint may do it");
    last.stop().await;
}
