//! Backups, alarms and compaction, by our own verbs and by etcd's client.

use std::fs;

use quorate_client::proto::{CompactionRequest, RangeRequest};

use crate::harness::{Cluster, etcdctl, etcdctl_ends, quorate, runtime, text, wait_until};

/// What our own program prints.
fn said(arguments: &[&str]) -> String {
    let output = quorate(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// A number in a line of JSON.
fn number(json: &str, name: &str) -> u64 {
    let (_, rest) = json.split_once(&format!("\"{name}\":")).expect(json);
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect(json)
}

#[test]
fn a_backup_is_saved_checked_and_never_half_there() {
    let mut cluster = Cluster::start(1);
    let endpoint = cluster.plan.nodes[0].endpoint();
    let file = cluster.folder.path().join("backup");
    let file = file.to_str().unwrap();
    let save = || quorate(&["snapshot", "save", file, "--endpoints", &endpoint]);
    for number in 0..300 {
        cluster.put(&format!("k{}", number % 100), &"v".repeat(1000)).unwrap();
    }
    assert_eq!(text(&save().stdout), format!("Snapshot saved at {file}\n"));
    let status = said(&["snapshot", "status", file, "-w", "json"]);
    assert_eq!((number(&status, "revision"), number(&status, "totalKey")), (301, 300), "{status}");
    let bytes = fs::read(file).unwrap();
    assert_eq!(number(&status, "totalSize"), bytes.len() as u64);
    let simple = said(&["snapshot", "status", file]);
    let hash = format!("{:x}", number(&status, "hash"));
    assert!(simple.starts_with(&format!("{hash}, 301, 300, ")), "{simple}");
    assert!(said(&["snapshot", "status", file, "-w", "table"]).contains("TOTAL KEYS"));

    // A file that is damaged, cut or something else is refused, each with its reason.
    let other = cluster.folder.path().join("other");
    let other = other.to_str().unwrap();
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    for (content, why) in [
        (&damaged[..], "checksum does not match"),
        (&bytes[..bytes.len() - 600], "were written"),
        (&b"SQLite format 3\0 and so on, for more bytes than a header has"[..], "is no backup"),
    ] {
        fs::write(other, content).unwrap();
        let refused = quorate(&["snapshot", "status", other]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(text(&refused.stderr).contains(why), "{}", text(&refused.stderr));
    }

    // What was saved stays when nothing can be saved in its place.
    cluster.kill(0);
    assert_eq!(save().status.code(), Some(3));
    assert_eq!(fs::read(file).unwrap(), bytes);
    assert!(!fs::exists(format!("{file}.part")).unwrap());
    let two = format!("{endpoint},127.0.0.1:1");
    let refused = quorate(&["snapshot", "save", file, "--endpoints", &two]);
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn etcdctl_saves_backups_compares_hashes_and_sees_alarms() {
    let cluster = Cluster::start(3);
    let endpoints = cluster.plan.endpoints();
    let file = cluster.folder.path().join("saved by etcdctl");
    let file = file.to_str().unwrap();
    for number in 0..200 {
        cluster.put(&format!("k{}", number % 50), &"v".repeat(3000)).unwrap();
    }
    let one = cluster.plan.nodes[1].endpoint();
    // The member that is asked answers what it holds, which is all once it has answered a read.
    runtime().block_on(cluster.client_of(1).get("k1")).unwrap();
    let Some(saved) = etcdctl(&one, &["snapshot", "save", file], "") else { return };
    assert!(saved.contains("Snapshot saved at"), "{saved}");
    let status = said(&["snapshot", "status", file, "-w", "json"]);
    assert_eq!((number(&status, "revision"), number(&status, "totalKey")), (201, 200), "{status}");
    assert_eq!(fs::metadata(file).unwrap().len() % 512, 32);
    // etcd's own reader opens a database file of its own kind, which this is not.
    let other = etcdctl_ends(&one, &["snapshot", "status", file], "").unwrap();
    assert!(!other.status.success(), "{}", text(&other.stdout));

    let hashes = etcdctl(&endpoints, &["endpoint", "hashkv"], "").unwrap();
    let hashes: Vec<&str> = hashes.lines().filter_map(|line| line.split(", ").nth(1)).collect();
    assert_eq!(hashes, vec![number(&status, "hash").to_string(); 3]);
    let defragmented = etcdctl(&endpoints, &["defrag"], "").unwrap();
    assert_eq!(defragmented.matches("Finished defragmenting").count(), 3, "{defragmented}");
    assert_eq!(etcdctl(&endpoints, &["alarm", "list"], "").unwrap(), "");
}

#[test]
fn a_store_beyond_its_quota_refuses_writes_until_the_alarm_is_taken_back() {
    let mut cluster = Cluster::planned(3);
    (0..3).for_each(|at| cluster.start_node_with(at, &["--quota-backend-bytes", "100000"]));
    cluster.wait_for_leader();
    let refused = {
        let mut refused = None;
        wait_until("the quota is exceeded and said", || {
            refused = (0..20).find_map(|_| cluster.put("k", &"v".repeat(1000)).err());
            refused.is_some()
        });
        refused.expect("the wait ends with a refusal").to_string()
    };
    assert!(refused.contains("etcdserver: mvcc: database space exceeded"), "{refused}");
    let revision = {
        let reply = runtime().block_on(
            cluster
                .client()
                .range(RangeRequest { key: b"k".to_vec().into(), ..RangeRequest::default() }),
        );
        reply.expect("reads go on").header.unwrap().revision
    };
    for at in 0..3 {
        wait_until("every member says so", || {
            let status = cluster.status(at);
            status.is_some_and(|status| status.errors.iter().any(|e| e.contains("alarm:NOSPACE")))
        });
    }
    let endpoints = cluster.plan.endpoints();
    let alarms = etcdctl(&endpoints, &["alarm", "list"], "");
    if let Some(alarms) = &alarms {
        assert!(alarms.contains("alarm:NOSPACE"), "{alarms}");
    }
    let compact = CompactionRequest { revision, physical: true };
    runtime().block_on(cluster.client().compact(compact)).expect("compaction goes on");
    assert!(cluster.put("k", "v").is_err(), "nobody took the alarm back");
    if alarms.is_none() {
        return;
    }
    // A member may have raised its own alarm a moment later than the others.
    wait_until("writes are served", || {
        etcdctl(&endpoints, &["alarm", "disarm"], "").unwrap();
        cluster.put("k", "v").is_ok()
    });
    assert_eq!(etcdctl(&endpoints, &["alarm", "list"], "").unwrap(), "");
}

#[test]
fn old_revisions_are_compacted_without_being_asked() {
    let mut cluster = Cluster::planned(3);
    let flags = ["--auto-compaction-mode", "periodic", "--auto-compaction-retention", "2s"];
    (0..3).for_each(|at| cluster.start_node_with(at, &flags));
    cluster.wait_for_leader();
    let first = cluster.put("k", "0").unwrap();
    let old =
        || RangeRequest { key: b"k".to_vec().into(), revision: first, ..RangeRequest::default() };
    let read = || runtime().block_on(cluster.client().range(old()));
    assert!(read().is_ok());
    let mut number = 0;
    wait_until("the first revision is gone", || {
        number += 1;
        cluster.put("k", &number.to_string()).unwrap();
        read().is_err_and(|error| error.to_string().contains("has been compacted"))
    });
    let said = (0..3).filter(|at| cluster.said(*at).contains("compacted automatically"));
    assert_eq!(said.count(), 1, "the leader alone");
}
