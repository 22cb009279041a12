//! A cluster that begins with a backup of another one.

use std::collections::BTreeMap;
use std::fs;

use quorate_cli::cluster::PlannedNode;
use quorate_client::proto::RangeRequest;

use crate::harness::{Cluster, copy_folder, quorate, runtime, text, wait_until};

/// Where clients are told that a restored node by itself is, unless its flags say otherwise.
const DEFAULT_CLIENT_URL: &str = "http://127.0.0.1:2379";

/// What our own program prints.
fn said(arguments: &[&str]) -> String {
    let output = quorate(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// A cluster with some history, and a backup of it.
fn backed_up(nodes: usize) -> (Cluster, String) {
    let cluster = Cluster::start(nodes);
    for number in 0..300 {
        cluster.put(&format!("k{}", number % 100), &number.to_string()).unwrap();
    }
    let file = cluster.folder.path().join("backup").to_str().unwrap().to_owned();
    let leader = cluster.wait_for_leader();
    let endpoint = cluster.plan.nodes[leader].endpoint();
    said(&["snapshot", "save", &file, "--endpoints", &endpoint]);
    (cluster, file)
}

fn value_at(cluster: &Cluster, at: usize, key: &str, revision: i64) -> String {
    let range =
        RangeRequest { key: key.as_bytes().to_vec().into(), revision, ..RangeRequest::default() };
    let reply = runtime().block_on(cluster.client_of(at).range(range)).unwrap();
    text(&reply.kvs[0].value)
}

/// Where a node says that clients reach the members, by name.
fn told_by(cluster: &Cluster, at: usize) -> BTreeMap<String, Vec<String>> {
    let reply = runtime().block_on(cluster.client_of(at).member_list()).unwrap();
    reply.members.into_iter().map(|member| (member.name, member.client_urls)).collect()
}

/// Where the members are.
fn planned(cluster: &Cluster) -> BTreeMap<String, Vec<String>> {
    let urls = |node: &PlannedNode| vec![format!("http://{}", node.endpoint())];
    cluster.plan.nodes.iter().map(|node| (node.name.clone(), urls(node))).collect()
}

#[test]
fn three_nodes_begin_with_a_backup_and_refuse_the_nodes_it_came_from() {
    let (mut old, file) = backed_up(3);
    let old_cluster = old.status(0).unwrap().header.unwrap().cluster_id;
    let old_data = old.data_dir(2);
    let kept = old.folder.path().join("kept");

    let mut new = Cluster::planned(3);
    let made = new.folder.path().join("made");
    let made_text = made.to_str().unwrap();
    let list = new.plan.initial_cluster();
    let urls = new.plan.nodes.iter().map(|n| format!("{}=http://{}", n.name, n.endpoint()));
    let urls = urls.collect::<Vec<_>>().join(",");
    let arguments = [
        "snapshot",
        "restore",
        &file,
        "--data-dir",
        made_text,
        "--initial-cluster",
        &list,
        "--advertise-client-urls",
        &urls,
    ];
    let told = said(&arguments);
    assert!(told.contains("Restored revision 301"), "{told}");
    let again = quorate(&arguments);
    assert_eq!(again.status.code(), Some(1), "nothing is replaced");
    let one_of_three = quorate(&[&arguments[..], &["--name", "n1"]].concat());
    assert_eq!(one_of_three.status.code(), Some(2));
    for node in &new.plan.nodes {
        copy_folder(&made.join(&node.name), &node.data_dir).unwrap();
    }
    (0..3).for_each(|at| new.start_node(at));
    new.wait_for_leader();
    for at in 0..3 {
        assert_eq!(value_at(&new, at, "k7", 0), "207");
        assert_eq!(value_at(&new, at, "k7", 9), "7", "the history is there");
        assert_eq!(told_by(&new, at), planned(&new), "where clients are told to come");
        assert!(!new.said(at).contains("told of other addresses"), "{}", new.said(at));
    }
    let header = new.status(0).unwrap().header.unwrap();
    assert_ne!(header.cluster_id, old_cluster);
    assert_eq!(header.revision, 301);
    assert_eq!(new.put("k7", "on").unwrap(), 302);
    new.kill_all();
    (0..3).for_each(|at| new.start_node(at));
    new.wait_for_leader();
    assert_eq!(value_at(&new, 1, "k7", 0), "on");

    // A node of the old cluster in the place of one of the new: a stranger, whatever its name.
    old.kill_all();
    copy_folder(&old_data, &kept).unwrap();
    new.kill(2);
    let place = new.data_dir(2);
    fs::rename(&place, place.with_extension("away")).unwrap();
    copy_folder(&kept, &place).unwrap();
    new.start_node(2);
    new.put("k7", "two of three").unwrap();
    assert!(!new.serves(2), "it serves nobody");
}

#[test]
fn a_node_by_itself_begins_with_a_backup() {
    let (mut old, file) = backed_up(1);
    old.kill_all();
    let mut new = Cluster::planned(1);
    let node = &new.plan.nodes[0];
    let directory = format!("{}/", node.data_dir.display());
    let url = format!("http://{}", node.peer());
    let told = said(&[
        "snapshot",
        "restore",
        &file,
        "--data-dir",
        &directory,
        "--name",
        &node.name,
        "--initial-advertise-peer-urls",
        &url,
    ]);
    assert!(told.contains("Restored revision 301"), "{told}");
    for life in 0..2 {
        new.start_node(0);
        new.wait_for_leader();
        assert_eq!(value_at(&new, 0, "k7", 9), "7");
        assert_eq!(new.put("k7", "on").unwrap(), 302 + life);
        assert_eq!(told_by(&new, 0).values().flatten().collect::<Vec<_>>(), [DEFAULT_CLIENT_URL]);
        wait_until("it is said that this is not where the server is", || {
            new.said(0).contains("told of other addresses")
        });
        new.kill(0);
    }
    assert!(!fs::exists(new.folder.path().join("n1.restoring")).unwrap());

    // A damaged backup makes nothing.
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let other = new.folder.path().join("other");
    let refused = quorate(&["snapshot", "restore", &file, "--data-dir", other.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    assert!(!fs::exists(&other).unwrap());
    let skipped = quorate(&["snapshot", "restore", &file, "--skip-hash-check"]);
    assert_eq!(skipped.status.code(), Some(2));
}
