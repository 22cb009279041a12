//! A cluster is founded over real sockets; a directory that was wiped stays a stranger.

use super::*;
use crate::founding::{Action, Founding, Input, Listed, PeerList};
use crate::roster::{FoundingRecord, Member};

/// A node that founds: its transport, its decisions, and what is durable in its directory.
struct Founder {
    peer: Peer,
    founding: Founding,
    disk: Option<FoundingRecord>,
    begin: tokio::time::Instant,
}

fn now(begin: tokio::time::Instant) -> quorate_core::Instant {
    quorate_core::Instant::ZERO.after(begin.elapsed())
}

impl Founder {
    fn new(node: u64, boot: u64, listening: Listening, addresses: &[String]) -> Self {
        Self::with(caller(node, boot), listening, addresses, None)
    }

    fn with(
        me: Caller,
        listening: Listening,
        addresses: &[String],
        disk: Option<FoundingRecord>,
    ) -> Self {
        let address = listening.address().to_string();
        let cluster = disk.as_ref().map_or(ClusterId::ZERO, |record| record.cluster);
        let transport = Transport::start(listening, config(), me, cluster).unwrap();
        let peer = Peer { transport, events: VecDeque::new(), me };
        let name = format!("n{}", me.node.get());
        let listed = addresses.iter().map(Listed::at);
        let peers = PeerList::new(&name, &address, listed).unwrap();
        let member = Member { id: me.node, name, peer_address: address, client_urls: Vec::new() };
        let begin = tokio::time::Instant::now();
        let draw = ClusterId(me.node.get() * 1000);
        let founding = Founding::new(now(begin), member, peers, draw, disk.clone()).unwrap();
        let mut founder = Self { peer, founding, disk, begin };
        founder.handle(Input::Timer);
        founder
    }

    fn handle(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for action in self.founding.handle(now(self.begin), input) {
                let transport = &self.peer.transport;
                match action {
                    Action::Ask { address, asked } => transport.ask(address, asked),
                    Action::Offer { address, to, record } => transport.offer(address, to, record),
                    Action::Persist(record) => {
                        self.disk = Some(record);
                        inputs.push(Input::Persisted);
                    }
                    Action::Founded(record) => transport.join_cluster(record.cluster),
                    Action::Refused(_) => {}
                }
            }
        }
        self.peer.transport.set_answer(self.founding.answer());
    }

    /// Takes one turn: events that came, or the deadline.
    async fn turn(&mut self) {
        let deadline = self.founding.next_deadline();
        let wait = deadline.map_or(AT_MOST, |deadline| deadline.since(now(self.begin)));
        let mut events = Vec::new();
        if timeout(wait, self.peer.transport.events().ready()).await.is_err() {
            self.handle(Input::Timer);
        }
        self.peer.transport.events().take(&mut events);
        for event in events {
            if let Event::Founding(input) = event {
                self.handle(input);
            }
        }
    }
}

/// Runs all of them until each satisfies `done`.
async fn until(founders: &mut [Founder], done: impl Fn(&Founder) -> bool) {
    let running = async {
        while !founders.iter().all(&done) {
            let turns = founders.iter_mut().map(|founder| Box::pin(founder.turn()));
            first(turns.collect()).await;
        }
    };
    timeout(AT_MOST, running).await.expect("it comes to this");
}

/// Waits for the first of several futures; the others are dropped, which loses nothing here.
async fn first<F: Future<Output = ()> + Unpin>(mut all: Vec<F>) {
    std::future::poll_fn(|context| {
        let ready = all.iter_mut().any(|one| std::pin::Pin::new(one).poll(context).is_ready());
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

fn listen(count: usize) -> (Vec<Listening>, Vec<String>) {
    let all: Vec<_> = (0..count).map(|_| Listening::bind("127.0.0.1:0").unwrap()).collect();
    let addresses = all.iter().map(|listening| listening.address().to_string()).collect();
    (all, addresses)
}

#[test]
fn three_nodes_found_one_cluster_and_a_wiped_one_stays_out() {
    run(async {
        let (listening, addresses) = listen(3);
        let mut founders: Vec<Founder> = (1..)
            .zip(listening)
            .map(|(node, listening)| Founder::new(node, 1, listening, &addresses))
            .collect();
        let settled = |founder: &Founder| {
            founder.founding.record().is_some() && founder.founding.unconfirmed().is_empty()
        };
        until(&mut founders, settled).await;
        let record = founders[0].disk.clone().unwrap();
        assert_eq!(record.cluster, ClusterId(1000), "the lowest id made it");
        assert!(founders.iter().all(|founder| founder.disk.as_ref() == Some(&record)));

        // The third directory is wiped: another node comes up at its address.
        let wiped = founders.pop().unwrap();
        let address = wiped.peer.transport.address();
        drop(wiped);
        let attempt = async {
            loop {
                match Listening::bind(&address.to_string()) {
                    Ok(listening) => return listening,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        let listening = timeout(AT_MOST, attempt).await.expect("the address becomes free");
        founders.push(Founder::new(9, 1, listening, &addresses));
        let stranger = |founder: &Founder| {
            let waiting = founder.founding.waiting(now(founder.begin));
            founder.peer.me.node != id(9)
                || waiting.is_some_and(|text| text.to_string().contains("without this data"))
        };
        until(&mut founders, stranger).await;
        assert_eq!(founders[2].disk, None);

        // The members come back in their next boot and do not hand it the record either.
        let restarted: Vec<FoundingRecord> =
            founders.drain(..2).map(|founder| founder.disk.unwrap()).collect();
        assert_eq!(restarted, [record.clone(), record]);
    });
}

#[test]
fn two_empty_nodes_found_nothing_while_the_third_is_silent() {
    run(async {
        let (mut listening, addresses) = listen(3);
        // The third address stays bound, and nobody answers there.
        let silent = listening.pop().unwrap();
        let mut founders: Vec<Founder> = (1..)
            .zip(listening)
            .map(|(node, listening)| Founder::new(node, 1, listening, &addresses))
            .collect();
        let third = addresses[2].clone();
        let waits = |founder: &Founder| {
            let text = founder.founding.waiting(now(founder.begin)).map(|text| text.to_string());
            text.is_some_and(|text| {
                text.contains("waits for 1 of 3") && text.contains(&format!("{third} (no answer"))
            })
        };
        until(&mut founders, waits).await;
        assert!(founders.iter().all(|founder| founder.disk.is_none()));
        founders.push(Founder::new(3, 1, silent, &addresses));
        until(&mut founders, |founder| founder.founding.record().is_some()).await;
    });
}

#[test]
fn an_offer_is_made_to_the_node_and_to_nobody_else_at_its_address() {
    run(async {
        let (listening, addresses) = listen(2);
        let mut founders: Vec<Founder> = (1..)
            .zip(listening)
            .map(|(node, listening)| Founder::new(node, 1, listening, &addresses))
            .collect();
        until(&mut founders, |founder| founder.founding.record().is_some()).await;
        let record = founders[0].disk.clone().unwrap();
        let mut three = Peer::start_at("127.0.0.1:0", caller(3, 1), ClusterId::ZERO, config());
        three.transport.set_answer(founders[0].founding.answer());
        let transport = &founders[0].peer.transport;
        transport.offer(three.address(), id(2), record.clone());
        transport.offer(three.address(), id(3), record);
        let offered = async |peer: &mut Peer| {
            peer.next(|event| match event {
                Event::Founding(Input::Offered(_)) => Some(()),
                _ => None,
            })
            .await;
        };
        offered(&mut three).await;
        let more = timeout(Duration::from_millis(200), offered(&mut three)).await;
        assert!(more.is_err(), "the offer to node 2 said nothing to node 3");
    });
}
