//! The body that most scenarios share: three rounds of clients among faults.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::clients::{Record, appending, asking, own_key, require_appends};
use super::{T, bound_of_the_suite, snapshots_where_tight};
use crate::harness::{Failure, Task, World, ensure, spawn};
use crate::raft::LabRaft;
use crate::service::{Group, KvServer, Way};

const ROUNDS: usize = 3;
/// How long the clients of a round are left alone before the servers are cut apart.
const CALM: Duration = Duration::from_secs(1);
/// How long a round then goes on.
const ROUND: Duration = Duration::from_secs(5);

/// What a scenario consists of, besides the body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) clients: usize,
    pub(super) servers: usize,
    pub(super) is_unreliable: bool,
    pub(super) has_crashes: bool,
    pub(super) has_partitions: bool,
    /// Whether clients ask for random keys, and the history is checked.
    pub(super) is_checked: bool,
    pub(super) max_state: Option<usize>,
}

/// Says to tasks beside the scenario that they shall end.
#[derive(Clone, Debug, Default)]
pub(super) struct Done(Arc<AtomicBool>);

impl Done {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Plan {
    /// Five servers and nothing that goes wrong.
    pub(super) const fn with_clients(clients: usize) -> Self {
        Self {
            clients,
            servers: 5,
            is_unreliable: false,
            has_crashes: false,
            has_partitions: false,
            is_checked: false,
            max_state: None,
        }
    }

    pub(super) async fn run<R: LabRaft>(self, world: &World<R>) -> Result<(), Failure> {
        if self.max_state.is_some() {
            world.needs_snapshots()?;
        }
        let max_state = self.max_state.or(bound_of_the_suite(world)?);
        let group: Group<R, KvServer<R>> = Group::new(world, self.servers, max_state);
        group.set_reliable(!self.is_unreliable);
        self.rounds(world, &group).await?;
        snapshots_where_tight(world, &group)
    }

    async fn rounds<R: LabRaft>(
        self,
        world: &World<R>,
        group: &Group<R, KvServer<R>>,
    ) -> Result<(), Failure> {
        let judge = group.clerk(Way::ToAll);
        let record = Record::default();
        for _ in 0..ROUNDS {
            let (clients_end, cuts_end) = (Done::default(), Done::default());
            let clients = self.clients_of_a_round(world, group, &record, &clients_end);
            world.pause(CALM).await;
            let cutting = self.has_partitions.then(|| {
                let (world, group, end) = (world.clone(), group.clone(), cuts_end.clone());
                spawn(world.clone().context(), async move { cut_apart(&world, &group, &end).await })
            });
            world.pause(ROUND).await;
            clients_end.set();
            cuts_end.set();
            if let Some(cutting) = cutting {
                cutting.join().await;
                group.connect_all();
                world.pause(T).await;
            }
            if self.has_crashes {
                group.crash_all();
                world.pause(T).await;
                group.start_all();
                group.connect_all();
            }
            for (client, task) in clients.into_iter().enumerate() {
                let appends = task.join().await;
                if !self.is_checked {
                    let value = judge.get(&own_key(client)).await;
                    require_appends(&value, client, appends)?;
                }
                world.check()?;
            }
            if let Some(max) = self.max_state {
                let largest = group.largest_state();
                let limit = 2 * max;
                ensure!(largest <= limit, "a server keeps {largest} bytes, the limit is {limit}");
            }
        }
        if self.is_checked { record.check() } else { Ok(()) }
    }

    /// Starts the clients; each ends with the number of its appends.
    fn clients_of_a_round<R: LabRaft>(
        self,
        world: &World<R>,
        group: &Group<R, KvServer<R>>,
        record: &Record,
        end: &Done,
    ) -> Vec<Task<usize>> {
        let one = |client: usize| {
            let clerk = group.clerk(Way::ToAll);
            let (world, end, record) = (world.clone(), end.clone(), record.clone());
            spawn(world.clone().context(), async move {
                if self.is_checked {
                    asking(&world, &clerk, client, self.clients, &record, &end).await
                } else {
                    appending(&world, &clerk, client, &end).await
                }
            })
        };
        (0..self.clients).map(one).collect()
    }
}

/// Cuts the servers into two sides, again and again.
async fn cut_apart<R: LabRaft>(world: &World<R>, group: &Group<R, KvServer<R>>, end: &Done) {
    while !end.is_set() {
        let mut servers: Vec<usize> = (0..group.len()).collect();
        for last in (1..servers.len()).rev() {
            servers.swap(last, world.any(last + 1));
        }
        let (one, other) = servers.split_at(world.any(servers.len()));
        group.partition(one, other);
        world.sleep(T + Duration::from_millis(world.below(200))).await;
    }
}
