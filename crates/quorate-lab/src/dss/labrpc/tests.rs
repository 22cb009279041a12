//! The network's self-tests: eleven, with the rules that the labs' own have.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::{Error, Network, Result, Server, ServerBuilder, block_on};
use crate::context::{Context, VirtualTime};
use crate::dss::labcodec;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Args {
    #[prost(int64, tag = "1")]
    x: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Text {
    #[prost(string, tag = "1")]
    x: String,
}

crate::dss::labrpc::service! {
    /// For tests.
    service junk {
        /// Says the number as a text.
        rpc say(crate::dss::labrpc::tests::Args) returns (crate::dss::labrpc::tests::Text);
        /// Adds to a total and says it.
        rpc add(crate::dss::labrpc::tests::Args) returns (crate::dss::labrpc::tests::Args);
        /// Takes its time.
        rpc slow(crate::dss::labrpc::tests::Args) returns (crate::dss::labrpc::tests::Text);
        /// Fails.
        rpc fail(crate::dss::labrpc::tests::Args) returns (crate::dss::labrpc::tests::Text);
    }
}

#[derive(Clone)]
struct Junk {
    context: Context,
    seen: Arc<Mutex<Vec<i64>>>,
}

impl junk::Service for Junk {
    async fn say(&self, args: Args) -> Result<Text> {
        self.seen.lock().unwrap().push(args.x);
        Ok(Text { x: format!("handled {}", args.x) })
    }

    async fn add(&self, args: Args) -> Result<Args> {
        let mut seen = self.seen.lock().unwrap();
        seen.push(args.x);
        Ok(Args { x: seen.iter().sum() })
    }

    async fn slow(&self, args: Args) -> Result<Text> {
        self.context.sleep(Duration::from_secs(20)).await;
        self.say(args).await
    }

    async fn fail(&self, _: Args) -> Result<Text> {
        Err(Error::Other("not today".to_owned()))
    }
}

/// A network, one server with the service, and what it has seen.
fn stage(network: &Network) -> (Server, Arc<Mutex<Vec<i64>>>) {
    let junk = Junk { context: network.context().clone(), seen: Arc::default() };
    let seen = Arc::clone(&junk.seen);
    let mut builder = ServerBuilder::new("server".to_owned());
    junk::add_service(junk.clone(), &mut builder).unwrap();
    assert!(matches!(junk::add_service(junk, &mut builder), Err(Error::Duplicate(_))));
    let server = builder.build();
    network.add_server(server.clone());
    (server, seen)
}

fn client(network: &Network, name: &str) -> junk::Client {
    let client = junk::Client::new(network.create_client(name.to_owned()));
    network.connect(name, "server");
    network.enable(name, true);
    client
}

fn in_virtual_time<T, F>(seed: u64, act: impl FnOnce(Network) -> F) -> T
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let time = VirtualTime::new(seed);
    let network = Network::on(time.context());
    time.block_on(act(network))
}

#[test]
fn a_server_dispatches_by_service_and_method() {
    let network = Network::new();
    let (server, _) = stage(&network);
    let mut args = Vec::new();
    labcodec::encode(&Args { x: 16 }, &mut args).unwrap();
    let reply = block_on(server.dispatch("junk.say", args.clone())).unwrap();
    assert_eq!(labcodec::decode::<Text>(&reply).unwrap().x, "handled 16");
    for unknown in ["junk.nothing", "other.say", "junk", ""] {
        let error = block_on(server.dispatch(unknown, args.clone())).unwrap_err();
        assert_eq!(error, Error::Unimplemented(unknown.to_owned()));
    }
    let error = block_on(server.dispatch("junk.say", vec![0xff; 12])).unwrap_err();
    assert!(matches!(error, Error::Decode(_)));
}

#[test]
fn a_call_reaches_its_server_and_its_reply_comes_back_as_what_it_was() {
    let network = Network::new();
    let (_, seen) = stage(&network);
    let client = client(&network, "client");
    assert_eq!(client.client().name(), "client");
    assert_eq!(block_on(client.say(&Args { x: 5 })).unwrap().x, "handled 5");
    assert_eq!(block_on(client.add(&Args { x: -7 })).unwrap(), Args { x: -2 });
    let error = block_on(client.fail(&Args { x: 0 })).unwrap_err();
    assert_eq!(error, Error::Other("not today".to_owned()));
    assert_eq!(*seen.lock().unwrap(), [5, -7]);
}

#[test]
fn who_is_disabled_or_not_connected_reaches_nobody() {
    in_virtual_time(1, async |network| {
        let (server, seen) = stage(&network);
        let client = junk::Client::new(network.create_client("client".to_owned()));
        assert_eq!(client.say(&Args { x: 1 }).await, Err(Error::Timeout));
        network.connect("client", "server");
        assert_eq!(client.say(&Args { x: 2 }).await, Err(Error::Timeout));
        network.enable("client", true);
        assert_eq!(client.say(&Args { x: 3 }).await.unwrap().x, "handled 3");
        network.enable("client", false);
        assert_eq!(client.say(&Args { x: 4 }).await, Err(Error::Timeout));
        assert_eq!((server.count(), &*seen.lock().unwrap()), (1, &vec![3]));
    });
}

#[test]
fn requests_are_counted_by_server_and_altogether() {
    in_virtual_time(1, async |network| {
        stage(&network);
        let client = client(&network, "client");
        for x in 0..17 {
            client.say(&Args { x }).await.unwrap();
        }
        assert_eq!((network.count("server"), network.total_count()), (17, 17));
        network.enable("client", false);
        client.say(&Args { x: 0 }).await.unwrap_err();
        assert_eq!((network.count("server"), network.total_count()), (17, 18));
    });
}

#[test]
fn many_clients_call_at_the_same_time_and_each_gets_its_own_replies() {
    let network = Network::new();
    stage(&network);
    let one = |number: i64| {
        let client = client(&network, &format!("client {number}"));
        thread::spawn(move || {
            for step in 0..10 {
                let x = number * 100 + step;
                assert_eq!(block_on(client.say(&Args { x })).unwrap().x, format!("handled {x}"));
            }
        })
    };
    let clients: Vec<_> = (0..20).map(one).collect();
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!((network.count("server"), network.total_count()), (200, 200));
}

#[test]
fn one_client_calls_many_times_at_once_and_its_calls_overtake_each_other() {
    in_virtual_time(2, async |network| {
        let (_, seen) = stage(&network);
        let client = client(&network, "client");
        network.set_reliable(false);
        let calls: Vec<_> = (0..100).map(|x| client.say(&Args { x })).collect();
        let mut replies = 0;
        for (x, call) in calls.into_iter().enumerate() {
            match call.await {
                Ok(reply) => {
                    assert_eq!(reply.x, format!("handled {x}"));
                    replies += 1;
                }
                Err(error) => assert_eq!(error, Error::Timeout),
            }
        }
        let seen = seen.lock().unwrap();
        assert!(!seen.is_sorted(), "a request that was sent later came sooner");
        assert!(replies < seen.len() && seen.len() < 100, "some requests and replies were lost");
    });
}

#[test]
fn an_unreliable_network_keeps_to_its_figures() {
    let (fast, lost, late) = in_virtual_time(3, async |network| {
        stage(&network);
        let client = client(&network, "client");
        network.set_reliable(false);
        let (mut fast, mut lost, mut late) = (0_u32, 0_u32, 0_u32);
        for x in 0..2000 {
            let began = network.context().now();
            let is_there = client.say(&Args { x }).await.is_ok();
            let took = network.context().now() - began;
            match (is_there, took) {
                (true, _) => {
                    assert!(took < Duration::from_millis(27), "{took:?}");
                    fast += 1;
                }
                (false, _) if took < Duration::from_millis(27) => lost += 1,
                (false, _) => {
                    assert!(took < Duration::from_secs(27), "{took:?}");
                    late += 1;
                }
            }
        }
        (fast, lost, late)
    });
    // 81 % return; 9 % lose their reply; 10 % are lost, one in 27 of them at once.
    assert!((1560..1680).contains(&fast), "{fast}");
    assert!((140..240).contains(&lost), "{lost}");
    assert!((140..240).contains(&late), "{late}");
}

#[test]
fn calls_that_wait_when_their_client_is_disabled_do_not_hold_up_others() {
    in_virtual_time(4, async |network| {
        stage(&network);
        network.set_long_delays(true);
        let cut = client(&network, "cut");
        network.enable("cut", false);
        let began = network.context().now();
        let waiting: Vec<_> = (0..20).map(|x| cut.say(&Args { x })).collect();
        let other = client(&network, "other");
        assert!(other.say(&Args { x: 1 }).await.is_ok());
        assert!(network.context().now() - began < Duration::from_millis(100));
        for call in waiting {
            assert_eq!(call.await, Err(Error::Timeout));
        }
        let took = network.context().now() - began;
        assert!((Duration::from_secs(1)..Duration::from_secs(7)).contains(&took), "{took:?}");
        assert_eq!(network.count("server"), 1);
    });
}

#[test]
fn a_server_that_is_removed_while_it_works_answers_nobody() {
    in_virtual_time(5, async |network| {
        let (_, seen) = stage(&network);
        let client = client(&network, "client");
        let call = client.slow(&Args { x: 99 });
        network.context().sleep(Duration::from_secs(1)).await;
        let began = network.context().now();
        network.delete_server("server");
        assert_eq!(call.await, Err(Error::Timeout));
        assert!(network.context().now() - began <= Duration::from_millis(200));
        network.context().sleep(Duration::from_secs(60)).await;
        assert!(seen.lock().unwrap().is_empty(), "the handler went with its server");
        stage(&network);
        assert_eq!(client.say(&Args { x: 1 }).await.unwrap().x, "handled 1");
    });
}

#[test]
fn a_request_leaves_when_it_is_called_and_not_when_somebody_waits() {
    let network = Network::new();
    let (_, seen) = stage(&network);
    let client = client(&network, "client");
    drop(client.say(&Args { x: 1 }));
    let forgotten = client.say(&Args { x: 2 });
    let until = Instant::now() + Duration::from_secs(20);
    while seen.lock().unwrap().len() < 2 {
        assert!(Instant::now() < until, "nobody polled, and the request did not arrive");
        thread::sleep(Duration::from_millis(1));
    }
    drop(forgotten);
}

#[test]
fn to_block_on_an_executor_is_told_plainly_and_those_who_block_elsewhere_keep_none_from_work() {
    let network = Network::new();
    stage(&network);
    // More callers that hang than the runtime has threads.
    let hanging: Vec<_> = (0..8)
        .map(|number| {
            let client = client(&network, &format!("hanging {number}"));
            thread::spawn(move || block_on(client.slow(&Args { x: number })))
        })
        .collect();
    let quick = client(&network, "quick");
    assert!(block_on(quick.say(&Args { x: 1 })).is_ok());
    network.delete_server("server");
    for one in hanging {
        assert_eq!(one.join().unwrap(), Err(Error::Timeout));
    }

    let told = Arc::new(AtomicUsize::new(0));
    let (tell, is_told) = (Arc::clone(&told), Arc::clone(&told));
    quick.spawn(async move {
        let blocked = std::panic::catch_unwind(|| block_on(std::future::ready(())));
        tell.store(1 + usize::from(blocked.is_err()), Ordering::Release);
    });
    while is_told.load(Ordering::Acquire) == 0 {
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(told.load(Ordering::Acquire), 2, "it panicked");
}
