//! Each model with its figures, and who reaches whom.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::context::VirtualTime;

const MS: Duration = Duration::from_millis(1);

/// Answers with its name and what came; counts what it executed.
struct Echo {
    context: Context,
    executed: AtomicU64,
    /// How long an answer takes.
    takes: Duration,
}

impl Handler for Echo {
    fn handle(self: Arc<Self>, method: String, args: Vec<u8>) -> BoxFuture<Vec<u8>> {
        Box::pin(async move {
            self.executed.fetch_add(1, Ordering::Relaxed);
            if self.takes > Duration::ZERO {
                self.context.sleep(self.takes).await;
            }
            [method.as_bytes(), &args].concat()
        })
    }
}

fn echo(context: &Context, takes: Duration) -> Arc<Echo> {
    Arc::new(Echo { context: context.clone(), executed: AtomicU64::new(0), takes })
}

/// A network of three servers that answer at once, and the ends of the first.
fn three(model: Model, context: &Context) -> (Network, Vec<Arc<Echo>>, Peers) {
    let network = Network::new(model, 3, context.clone());
    let servers: Vec<_> = (0..3).map(|_| echo(context, Duration::ZERO)).collect();
    for (number, server) in servers.iter().enumerate() {
        network.add(number, Arc::clone(server) as Arc<dyn Handler>).unwrap();
    }
    let ends = network.ends_of(0).unwrap();
    (network, servers, ends)
}

fn run<F: Future<Output = ()> + Send + 'static>(seed: u64, test: impl FnOnce(Context) -> F) {
    let time = VirtualTime::new(seed);
    time.block_on(test(time.context()));
}

const MODELS: [Model; 4] =
    [Model::Plain, Model::LabRpc(Lost::Soon), Model::LabRpc(Lost::Late), Model::Proxy];

#[test]
fn a_reliable_network_answers_at_once_and_counts() {
    for model in MODELS {
        run(1, move |context| async move {
            let (network, _, ends) = three(model, &context);
            let answer = ends[1].call("append", vec![1, 2, 3]).await;
            assert_eq!(answer.as_deref(), Some(b"append\x01\x02\x03".as_slice()));
            assert_eq!(context.now(), Duration::ZERO);
            network.ends_of_client(7)[2].call("get", vec![4]).await.unwrap();
            let counts = network.counts();
            assert_eq!((counts.requests, counts.received), (2, vec![0, 1, 1]));
            assert_eq!(counts.bytes, (3 + 9) + (1 + 4), "requests and answers, no methods");
        });
    }
}

#[test]
fn a_request_is_under_way_before_anybody_waits_for_it() {
    run(1, |context| async move {
        let (_, servers, ends) = three(Model::Plain, &context);
        drop(ends[1].call("append", vec![1]));
        context.sleep(MS).await;
        assert_eq!(servers[1].executed.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn who_is_cut_off_is_neither_heard_nor_answered() {
    run(1, |context| async move {
        let (network, servers, ends) = three(Model::Plain, &context);
        let back = network.ends_of(1).unwrap();
        let client = network.ends_of_client(1);
        let call = |ends: &Peers, server: usize| ends[server].call("m", vec![1]);
        network.disconnect(1).unwrap();
        assert_eq!((call(&ends, 1).await, call(&back, 0).await), (None, None));
        assert!(call(&ends, 2).await.is_some() && call(&client, 1).await.is_some());
        network.connect(1).unwrap();
        assert!(call(&ends, 1).await.is_some() && call(&back, 0).await.is_some());

        network.partition(&[&[0, 2], &[1]]).unwrap();
        assert!(call(&ends, 1).await.is_none() && call(&ends, 2).await.is_some());
        network.heal();
        assert!(call(&ends, 1).await.is_some());

        network.block(Caller::Server(0), 1, true).unwrap();
        assert!(call(&ends, 1).await.is_none() && call(&back, 0).await.is_some());
        network.connect_client(1, &[0, 2]);
        assert!(call(&client, 1).await.is_none() && call(&client, 2).await.is_some());
        network.heal();
        assert!(call(&client, 1).await.is_some());
        let before = servers[1].executed.load(Ordering::Relaxed);
        network.remove(1).unwrap();
        assert!(call(&client, 1).await.is_none() && call(&back, 0).await.is_none());
        assert_eq!(servers[1].executed.load(Ordering::Relaxed), before);
        network.add(1, echo(&context, Duration::ZERO)).unwrap();
        assert!(call(&client, 1).await.is_some());
        assert!(call(&back, 0).await.is_none(), "ends of an earlier life reach nobody");
        let again = network.ends_of(1).unwrap();
        assert!(call(&again, 0).await.is_some());
    });
}

#[test]
fn a_server_that_does_not_exist_is_told() {
    run(1, |context| async move {
        let (network, ..) = three(Model::Plain, &context);
        let error = NoSuchPeer { peer: 3, peers: 3 };
        assert_eq!(network.connect(3), Err(error));
        assert_eq!(network.disconnect(3), Err(error));
        assert_eq!(network.remove(3), Err(error));
        assert_eq!(network.ends_of(3).err(), Some(error));
        assert_eq!(network.block(Caller::Client(1), 3, true), Err(error));
        assert_eq!(network.partition(&[&[0, 1], &[2, 3]]), Err(error));
    });
}

#[test]
fn an_answer_of_a_server_that_went_meanwhile_does_not_come() {
    run(1, |context| async move {
        let (network, _, ends) = three(Model::Plain, &context);
        network.add(1, echo(&context, 250 * MS)).unwrap();
        assert!(ends[1].call("m", Vec::new()).await.is_some());
        assert_eq!(context.now(), 250 * MS);
        // Gone for ever, gone and back, and only cut off for good.
        for way in 0..3 {
            let call = ends[1].call("m", Vec::new());
            context.sleep(120 * MS).await;
            let removed = context.now();
            match way {
                0 => network.remove(1).unwrap(),
                1 => network.add(1, echo(&context, 250 * MS)).unwrap(),
                _ => network.disconnect(1).unwrap(),
            }
            assert_eq!(call.await, None);
            assert!(context.now() - removed <= CHECK, "it is noticed within 100 ms");
            network.add(1, echo(&context, 250 * MS)).unwrap();
        }
    });
}

/// What became of many calls: how many arrived, were executed, and how long each took.
fn many(model: Model, set: fn(&Network), calls: u32) -> (u32, u64, Vec<Duration>) {
    let time = VirtualTime::new(3);
    let context = time.context();
    time.block_on(async move {
        let (network, servers, ends) = three(model, &context);
        set(&network);
        let (mut answered, mut times) = (0, Vec::new());
        for _ in 0..calls {
            let began = context.now();
            answered += u32::from(ends[1].call("m", vec![0]).await.is_some());
            times.push(context.now() - began);
        }
        times.sort_unstable();
        (answered, servers[1].executed.load(Ordering::Relaxed), times)
    })
}

fn is_about(found: u64, percent: u64, of: u64) -> bool {
    found.abs_diff(of * percent / 100) < of / 40
}

#[test]
fn an_unreliable_labrpc_loses_a_tenth_each_way() {
    for (lost, slowest) in [(Lost::Soon, 26 * MS), (Lost::Late, Duration::from_secs(26))] {
        let set = |network: &Network| network.set_reliable(false);
        let (answered, executed, times) = many(Model::LabRpc(lost), set, 4000);
        assert!(is_about(executed, 90, 4000), "{executed}");
        assert!(is_about(answered.into(), 81, 4000), "{answered}");
        assert_eq!((times[0], times[3999]), (Duration::ZERO, slowest));
    }
}

#[test]
fn long_reordering_holds_back_two_thirds_of_the_answers() {
    let set = |network: &Network| network.set_long_reordering(true);
    let (answered, executed, times) = many(Model::LabRpc(Lost::Soon), set, 4000);
    assert_eq!((answered, executed), (4000, 4000), "late is not lost");
    let late = times.iter().filter(|time| **time >= 200 * MS).count();
    assert!(is_about(late as u64, 67, 4000), "{late}");
    let on_time = times.iter().filter(|time| **time == Duration::ZERO).count();
    assert_eq!(late + on_time, 4000);
    assert!(times[3999] > 2000 * MS && times[3999] < 2200 * MS);
}

#[test]
fn a_call_to_nobody_fails_after_a_while_or_after_seconds() {
    let gone = |network: &Network| network.remove(1).unwrap();
    let (answered, _, times) = many(Model::LabRpc(Lost::Late), gone, 500);
    assert!(answered == 0 && times[499] < 100 * MS && times[499] > 90 * MS);
    let long = |network: &Network| {
        network.remove(1).unwrap();
        network.set_long_delays(true);
    };
    let (_, _, times) = many(Model::LabRpc(Lost::Soon), long, 500);
    assert!(times[499] < 7000 * MS && times[499] > 6800 * MS);
    for model in [Model::Proxy, Model::Plain] {
        let (answered, executed, times) = many(model, long, 10);
        assert_eq!((answered, executed, times[9]), (0, 0, MS), "at once");
    }
}

#[test]
fn an_unreliable_proxy_lets_a_quarter_through() {
    let set = |network: &Network| network.set_reliable(false);
    let (answered, executed, times) = many(Model::Proxy, set, 4000);
    assert!(is_about(executed, 50, 4000), "{executed}");
    assert!(is_about(answered.into(), 25, 4000), "{answered}");
    assert!(times[0] >= MS && times[3999] < 10 * MS);
}

#[test]
fn calls_overtake_each_other() {
    run(1, |context| async move {
        let (network, _, ends) = three(Model::LabRpc(Lost::Soon), &context);
        network.set_reliable(false);
        let order = Arc::new(Mutex::new(Vec::new()));
        for number in 0..20_u8 {
            let (call, order) = (ends[1].call("m", vec![number]), Arc::clone(&order));
            context.spawn(async move {
                if call.await.is_some() {
                    order.lock().unwrap().push(number);
                }
            });
        }
        context.sleep(100 * MS).await;
        let order = std::mem::take(&mut *order.lock().unwrap());
        assert!(order.len() > 10 && !order.is_sorted());
    });
}
