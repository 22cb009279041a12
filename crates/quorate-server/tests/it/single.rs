//! One node by itself: it serves, and finds everything again after a restart.

use quorate_client::KeyValue;
use quorate_client::proto::{CompactionRequest, DeleteRangeRequest};

use super::*;

fn summary(kv: Option<KeyValue>) -> Option<(Vec<u8>, i64, i64, i64)> {
    kv.map(|kv| (kv.value.to_vec(), kv.create_revision, kv.mod_revision, kv.version))
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let config = alone("n1", dir.path());
    let server = Running::start(config.clone()).await;
    let client = server.client();
    let first = client.put(put("a", "1")).await.unwrap().header.unwrap();
    assert_eq!(first.revision, 2);
    assert!(first.cluster_id != 0 && first.member_id != 0 && first.raft_term > 0, "{first:?}");
    client.put(put("a", "2")).await.unwrap();
    client.put(put("b", "1")).await.unwrap();
    let delete = DeleteRangeRequest { key: "b".into(), ..Default::default() };
    assert_eq!(client.delete_range(delete).await.unwrap().deleted, 1);
    let before = client.status().await.unwrap();
    assert_eq!(before.leader, first.member_id);
    server.stop().await;

    let server = Running::start(config).await;
    let client = server.client();
    let found = summary(client.get("a").await.unwrap());
    assert_eq!(found, Some((b"2".to_vec(), 2, 3, 2)));
    assert_eq!(client.get("b").await.unwrap(), None);
    let after = client.put(put("c", "1")).await.unwrap().header.unwrap();
    assert_eq!(after.revision, 6, "the deletion had made revision 5");
    assert_eq!((after.cluster_id, after.member_id), (first.cluster_id, first.member_id));
    assert!(after.raft_term > first.raft_term, "a restart opens a term");
    server.stop().await;
}

#[tokio::test]
async fn a_node_by_itself_lists_itself_as_member() {
    let dir = tempfile::tempdir().unwrap();
    let config = alone("n1", dir.path());
    let peer_url = config.listen_peer_url.clone();
    let server = Running::start(config).await;
    let client = server.client();
    let reply = client.member_list().await.unwrap();
    let [member] = reply.members.as_slice() else { panic!("{reply:?}") };
    assert_eq!((member.name.as_str(), member.is_learner), ("n1", false));
    assert_eq!(member.id, reply.header.unwrap().member_id);
    assert_eq!(member.peer_urls, [peer_url]);
    assert_eq!(member.client_urls, [format!("http://{}", server.address)]);
    server.stop().await;
}

#[tokio::test]
async fn history_is_readable_until_it_is_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(alone("n1", dir.path())).await;
    let client = server.client();
    for value in ["1", "2", "3"] {
        client.put(put("a", value)).await.unwrap();
    }
    let at = |revision| quorate_client::proto::RangeRequest {
        key: "a".into(),
        revision,
        ..Default::default()
    };
    assert_eq!(&*client.range(at(3)).await.unwrap().kvs[0].value, b"2");
    client.compact(CompactionRequest { revision: 4, physical: false }).await.unwrap();
    let error = client.range(at(3)).await.unwrap_err().to_string();
    assert!(error.contains("etcdserver: mvcc: required revision has been compacted"), "{error}");
    server.stop().await;
}

#[tokio::test]
async fn many_writers_at_once_are_each_answered_with_their_own_revision() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(alone("n1", dir.path())).await;
    let client = server.client();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..64 {
        let client = client.clone();
        writers.spawn(async move {
            let mut revisions = Vec::new();
            for number in 0..20 {
                let reply = client.put(put(&format!("{writer}/{number}"), "x")).await.unwrap();
                revisions.push(reply.header.unwrap().revision);
            }
            assert!(revisions.is_sorted(), "a writer's own writes are in order");
            revisions
        });
    }
    let mut all = Vec::new();
    while let Some(revisions) = writers.join_next().await {
        all.extend(revisions.unwrap());
    }
    all.sort_unstable();
    assert_eq!(all, (2..2 + 64 * 20).collect::<Vec<i64>>());
    server.stop().await;
}
