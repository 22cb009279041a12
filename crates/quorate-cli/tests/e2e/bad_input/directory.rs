//! Data directories that a node must not use.

use std::fs;

use super::{changed, refused};
use crate::harness::{Cluster, copy_folder};

#[test]
fn a_directory_that_a_live_process_uses_is_refused() {
    let cluster = Cluster::start(1);
    let spare = Cluster::planned(1);
    let arguments = spare.plan.serve_arguments(&spare.plan.nodes[0]);
    let dir = cluster.data_dir(0).display().to_string();
    let said = refused(&changed(&arguments, &[("--data-dir", &dir)]));
    assert!(said.contains(&dir), "{said}");
    cluster.put("still", "served").expect("the process that has the directory goes on");
}

#[test]
fn a_directory_that_cannot_be_written_is_refused() {
    let cluster = Cluster::planned(1);
    let arguments = cluster.plan.serve_arguments(&cluster.plan.nodes[0]);
    let file = cluster.folder.path().join("file");
    fs::write(&file, "not a directory").unwrap();
    // Permissions do not hold root back; these do.
    for dir in [file.join("below"), "/proc/quorate".into()] {
        let dir = dir.display().to_string();
        let said = refused(&changed(&arguments, &[("--data-dir", &dir)]));
        assert!(said.contains(&dir), "{said}");
    }
}

#[test]
fn a_directory_of_a_newer_format_is_refused() {
    let mut cluster = Cluster::start(1);
    cluster.put("a", "1").unwrap();
    cluster.kill(0);
    let arguments = cluster.plan.serve_arguments(&cluster.plan.nodes[0]);
    // Where each file has the checksum of all before it; see docs/disk-format.md.
    for (name, checksum_at) in [("identity", 76), ("hs.a", 4092)] {
        let file = cluster.data_dir(0).join(name);
        let right = fs::read(&file).unwrap();
        let mut newer = right.clone();
        newer[8..12].copy_from_slice(&9_u32.to_le_bytes());
        let checksum = crc32c::crc32c(&newer[..checksum_at]);
        newer[checksum_at..checksum_at + 4].copy_from_slice(&checksum.to_le_bytes());
        fs::write(&file, newer).unwrap();
        let said = refused(&arguments);
        assert!(said.contains(&file.display().to_string()), "{said}");
        assert!(said.contains("format 9"), "{said}");
        fs::write(&file, right).unwrap();
    }
    cluster.start_node(0);
    cluster.wait_for_leader();
    assert_eq!(cluster.local(0).unwrap().kvs.len(), 1, "nothing was touched");
}

#[test]
fn the_directory_of_another_node_is_refused() {
    let mut cluster = Cluster::start(3);
    cluster.put("a", "1").unwrap();
    cluster.kill(1);
    cluster.kill(2);
    fs::remove_dir_all(cluster.data_dir(2)).unwrap();
    copy_folder(&cluster.data_dir(1), &cluster.data_dir(2)).unwrap();
    cluster.start_node(1);
    cluster.wait_for_leader();

    let arguments = cluster.plan.serve_arguments(&cluster.plan.nodes[2]);
    let said = refused(&arguments);
    assert!(said.contains("n2") && said.contains("n3"), "{said}");
    cluster.put("b", "2").expect("the others go on");
}

#[test]
fn the_directory_of_another_cluster_is_refused() {
    let mut other = Cluster::start(3);
    other.put("other", "1").unwrap();
    other.kill(2);
    let mut cluster = Cluster::start(3);
    cluster.put("a", "1").unwrap();
    cluster.kill(2);
    fs::remove_dir_all(cluster.data_dir(2)).unwrap();
    copy_folder(&other.data_dir(2), &cluster.data_dir(2)).unwrap();

    let arguments = cluster.plan.serve_arguments(&cluster.plan.nodes[2]);
    let said = refused(&arguments);
    assert!(said.contains("cluster"), "{said}");
    assert!(said.contains(&cluster.data_dir(2).display().to_string()), "{said}");
    cluster.put("b", "2").expect("the others go on");
    other.put("b", "2").expect("the other cluster goes on");
}
