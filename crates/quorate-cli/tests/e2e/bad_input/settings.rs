//! Settings that cannot be meant, and ports that are taken.

use std::net::TcpListener;

use super::{changed, refused};
use crate::harness::Cluster;

#[test]
fn peer_lists_that_cannot_be_meant_are_refused() {
    let cluster = Cluster::planned(3);
    let node = &cluster.plan.nodes[0];
    let arguments = cluster.plan.serve_arguments(node);
    let own = format!("n1=http://{}", node.peer());
    let cases = [
        ("n2=http://127.0.0.1:1".to_owned(), "not this node, \"n1\""),
        ("n1=http://127.0.0.1:1".to_owned(), "127.0.0.1:1"),
        (format!("{own},n1=http://127.0.0.1:1"), "the name \"n1\""),
        (format!("{own},n2=http://{}", node.peer()), "\"n1\" and \"n2\""),
        (format!("{own},http://127.0.0.1:1"), "name=http://host:port"),
        (format!("{own},n2=127.0.0.1:1"), "has no scheme"),
        (format!("{own},n2=http://127.0.0.1"), "has no port"),
        (format!("{own},n2=https://127.0.0.1:1"), "TLS"),
    ];
    for (list, named) in cases {
        let said = refused(&changed(&arguments, &[("--initial-cluster", &list)]));
        assert!(said.contains(named), "{list}: {said}");
        assert!(said.contains("--initial-cluster"), "{list}: {said}");
    }
    assert!(!node.data_dir.exists(), "nothing is made before the settings are checked");
}

#[test]
fn a_port_in_use_is_named_with_its_flag() {
    let cluster = Cluster::planned(1);
    let arguments = cluster.plan.serve_arguments(&cluster.plan.nodes[0]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let url = format!("http://{address}");

    let said = refused(&changed(&arguments, &[("--listen-client-urls", &url)]));
    assert!(said.contains(&address) && said.contains("--listen-client-urls"), "{said}");

    let list = format!("n1={url}");
    let changes = [
        ("--listen-peer-urls", url.as_str()),
        ("--initial-advertise-peer-urls", &url),
        ("--initial-cluster", &list),
    ];
    let said = refused(&changed(&arguments, &changes));
    assert!(said.contains(&address) && said.contains("--listen-peer-urls"), "{said}");
}
