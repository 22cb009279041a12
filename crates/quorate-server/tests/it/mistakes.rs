//! What an operator gets wrong is named, with the remedy; a node alone among three waits and says so.

use quorate_client::CallError;
use quorate_client::proto::RangeRequest;

use super::*;

#[tokio::test]
async fn a_client_port_in_use_is_named_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut config = alone("n1", dir.path());
    config.listen_client_urls = vec![format!("http://{address}")];
    let error = Server::start(config).await.unwrap_err();
    assert!(matches!(error, ServeError::Listen { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&address) && text.contains("--listen-client-urls"), "{text}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was formatted");
}

#[tokio::test]
async fn a_peer_port_in_use_is_named_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut config = alone("n1", dir.path());
    config.listen_peer_url = format!("http://{address}");
    let error = Server::start(config).await.unwrap_err();
    assert!(matches!(error, ServeError::Start(_)), "{error:?}");
    assert!(error.to_string().contains(&address), "{error}");
}

#[tokio::test]
async fn a_data_directory_in_use_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(alone("n1", dir.path())).await;
    let error = Server::start(alone("n1", dir.path())).await.unwrap_err();
    assert!(matches!(error, ServeError::Start(_)), "{error:?}");
    assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{error}");
    server.client().put(put("a", "1")).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_node_that_waits_for_the_others_says_for_whom_to_every_call() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = alone("n1", dir.path());
    let absent = vacant();
    config.initial_cluster = format!("n1={},n2=http://{absent}", config.listen_peer_url);
    let server = Running::start(config).await;
    let short = Options::default().timeout(Duration::from_millis(500));
    let client = Client::new([server.address.to_string()], short).unwrap();
    let local = RangeRequest { key: "a".into(), serializable: true, ..Default::default() };
    let errors = [
        client.put(put("a", "1")).await.unwrap_err(),
        client.get("a").await.unwrap_err(),
        client.range(local).await.unwrap_err(),
        client.status().await.unwrap_err(),
        client.member_list().await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, CallError::Unserved { .. }), "{error:?}");
        assert!(error.is_certainly_without_effect());
        let text = error.to_string();
        assert!(text.contains(&absent.to_string()), "{text}");
    }
    server.stop().await;
}
