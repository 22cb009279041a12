//! The executors, by what they promise: replay, order, timeouts, and what they tell of wrong use.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::*;

const MS: Duration = Duration::from_millis(1);

/// What a panic said.
fn words(act: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(act)).expect_err("it panics");
    match panic.downcast::<String>() {
        Ok(words) => *words,
        Err(panic) => (*panic.downcast_ref::<&str>().expect("words")).to_owned(),
    }
}

/// Some tasks that draw, wait and note what they did.
async fn play(context: Context) -> Vec<(u128, u64, u64)> {
    let notes = Arc::new(Mutex::new(Vec::new()));
    for task in 0..5 {
        let (inner, notes) = (context.clone(), Arc::clone(&notes));
        context.spawn(async move {
            for _ in 0..20 {
                inner.sleep(inner.random_time(10 * MS)).await;
                let drawn = inner.random_below(1000);
                notes.lock().unwrap().push((inner.now().as_nanos(), task, drawn));
            }
        });
    }
    context.sleep(Duration::from_secs(1)).await;
    std::mem::take(&mut notes.lock().unwrap())
}

#[test]
fn a_seed_replays_exactly_and_takes_no_time() {
    let run = |seed| {
        let time = VirtualTime::new(seed);
        let context = time.context();
        time.block_on(async move { (play(context.clone()).await, context.now()) })
    };
    let began = Instant::now();
    let (first, now) = run(1);
    assert_eq!(first.len(), 100);
    assert_eq!(now, Duration::from_secs(1));
    assert!(began.elapsed() < now, "virtual time is not waited for");
    assert_eq!(run(1).0, first);
    assert_ne!(run(2).0, first);
}

#[test]
fn tasks_run_in_the_order_they_became_ready() {
    let time = VirtualTime::new(1);
    let context = time.context();
    let notes = Arc::new(Mutex::new(Vec::new()));
    let order = Arc::clone(&notes);
    time.block_on(async move {
        for (number, wait) in [(0, 3), (1, 1), (2, 3), (3, 0)] {
            let (inner, notes) = (context.clone(), Arc::clone(&notes));
            context.spawn(async move {
                inner.sleep(wait * MS).await;
                notes.lock().unwrap().push(number);
            });
        }
        context.sleep(5 * MS).await;
    });
    assert_eq!(*order.lock().unwrap(), [3, 1, 0, 2]);
}

#[test]
fn a_timeout_gives_what_came_first() {
    let time = VirtualTime::new(1);
    let context = time.context();
    time.block_on(async move {
        assert_eq!(context.timeout(5 * MS, context.sleep(4 * MS)).await, Some(()));
        assert_eq!(context.now(), 4 * MS);
        assert_eq!(context.timeout(5 * MS, context.sleep(6 * MS)).await, None);
        assert_eq!(context.now(), 9 * MS, "the loser was dropped, not waited for");
        context.sleep_until(7 * MS).await;
        context.yield_now().await;
        assert_eq!(context.now(), 9 * MS, "what is past is not waited for");
    });
}

#[test]
fn waiting_for_nothing_is_told_as_a_deadlock() {
    let time = VirtualTime::new(1);
    let said = words(|| time.block_on(future::pending::<()>()));
    assert!(said.contains("deadlock") && said.contains("no timer is set"), "{said}");
}

/// Looks again at once, for ever.
async fn spin(context: Context) {
    loop {
        context.yield_now().await;
    }
}

#[test]
fn a_time_that_cannot_go_on_is_told() {
    let time = VirtualTime::new(1);
    let said = words(|| time.block_on(spin(time.context())));
    assert!(said.contains("time stands still"), "{said}");
    // Beside a scenario that waits for a time that never comes.
    let time = VirtualTime::new(1);
    let context = time.context();
    let said = words(|| {
        time.block_on(async move {
            context.spawn(spin(context.clone()));
            context.sleep(MS).await;
        });
    });
    assert!(said.contains("time stands still"), "{said}");
}

/// What is said of a `start` that waits until this is over.
fn blocked_start<T>(context: Context, block_on: impl FnOnce(BoxFuture) -> T) -> String {
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let said = words(|| {
        block_on(Box::pin(async move {
            context.watched("state", 0, || ());
            context.watched("start", 2, || blocked.recv().unwrap_or_default());
        }));
    });
    drop(release);
    said
}

#[test]
fn a_start_that_blocks_is_told_by_name_in_virtual_and_in_real_time() {
    let time = VirtualTime::new(1).patience(50 * MS);
    let said = blocked_start(time.context(), |future| time.block_on(future));
    assert!(said.contains("`start` of peer 2 has blocked the thread for 50ms"), "{said}");
    for time in [RealTime::new(1), RealTime::threads(2, 1)] {
        let time = time.patience(50 * MS);
        let said = blocked_start(time.context(), |future| time.block_on(future));
        assert!(said.contains("`start` of peer 2 has blocked the thread for 50ms"), "{said}");
    }
}

#[test]
fn slow_work_is_not_taken_for_a_block() {
    let time = VirtualTime::new(1).patience(40 * MS);
    let context = time.context();
    time.block_on(async move {
        for _ in 0..20 {
            std::thread::sleep(5 * MS);
            context.sleep(MS).await;
        }
    });
    let real = RealTime::new(1).patience(40 * MS);
    let context = real.context();
    real.block_on(async move {
        for _ in 0..20 {
            context.watched("start", 0, || std::thread::sleep(5 * MS));
            context.yield_now().await;
        }
        context.sleep(100 * MS).await;
    });
}

#[test]
fn a_panic_in_a_task_comes_out() {
    let time = VirtualTime::new(1);
    let context = time.context();
    let said = words(|| {
        time.block_on(async move {
            context.spawn(async { panic!("the applied commands differ") });
            context.sleep(MS).await;
        });
    });
    assert_eq!(said, "the applied commands differ");
    let real = RealTime::new(1);
    let context = real.context();
    let said = words(|| {
        real.block_on(async move {
            context.spawn(async { panic!("on purpose") });
            context.sleep(5 * MS).await;
        });
    });
    assert!(said.contains("a task has panicked"), "{said}");
}

struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(alive))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn what_is_unfinished_goes_with_the_executor() {
    let alive = Arc::new(AtomicUsize::new(0));
    let time = VirtualTime::new(1);
    let context = time.context();
    let counts = Arc::clone(&alive);
    time.block_on(async move {
        for number in 0..100 {
            let (inner, held) = (context.clone(), Counted::new(&counts));
            context.spawn(async move {
                inner.sleep(number * MS).await;
                if number % 2 == 0 {
                    future::pending::<()>().await;
                }
                drop(held);
            });
        }
        context.sleep(50 * MS).await;
    });
    assert_eq!((time.tasks(), alive.load(Ordering::Relaxed)), (75, 75));
    drop(time);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

#[test]
fn tasks_of_a_scope_end_with_it_wherever_they_wait() {
    fn check(context: &Context) -> impl Future<Output = ()> + Send + use<> {
        let context = context.clone();
        async move {
            let alive = Arc::new(AtomicUsize::new(0));
            for _ in 0..1_000 {
                let (scoped, scope) = context.scope();
                let held = Counted::new(&alive);
                scoped.spawn(async move {
                    let _held = held;
                    future::pending::<()>().await;
                });
                let (inner, held) = (scoped.clone(), Counted::new(&alive));
                scoped.spawn(async move {
                    inner.sleep(Duration::from_secs(3600)).await;
                    drop(held);
                });
                context.yield_now().await;
                scope.end();
                let held = Counted::new(&alive);
                scoped.spawn(async move { drop(held) });
                assert!(scope.has_ended());
            }
            context.sleep(5 * MS).await;
            assert_eq!(alive.load(Ordering::Relaxed), 0);
        }
    }
    let time = VirtualTime::new(1);
    time.block_on(check(&time.context()));
    assert_eq!(time.tasks(), 0);
    let real = RealTime::threads(2, 1);
    real.block_on(check(&real.context()));
}

#[test]
fn real_time_passes() {
    let real = RealTime::new(1);
    let context = real.context();
    let notes = real.block_on(play(context.clone()));
    assert_eq!(notes.len(), 100);
    assert!(context.now() >= Duration::from_secs(1));
}

#[cfg(feature = "paused")]
#[test]
fn a_paused_clock_jumps() {
    let began = Instant::now();
    let real = RealTime::paused(1);
    assert_eq!(real.block_on(play(real.context())).len(), 100);
    assert!(began.elapsed() < Duration::from_millis(900));
}
