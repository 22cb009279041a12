//! The code of the guide in `docs/testing.md`, which is compared with it below.

// From here.
use quorate::{Applying, StateMachine};
use quorate_sim::{Faults, sim};
use serde::{Deserialize, Serialize};

#[derive(Default, Serialize, Deserialize)]
struct Counter(i64);

impl StateMachine for Counter {
    type Command = i64;
    type Reply = i64;
    type Query = ();
    type Answer = i64;

    fn apply(&mut self, _at: &Applying, add: i64) -> i64 {
        self.0 += add;
        self.0
    }

    fn query(&self, (): ()) -> i64 {
        self.0
    }
}

#[test]
fn my_machine_survives() {
    sim::<Counter>()
        .nodes(5)
        .faults(Faults::all())
        .clients(8)
        .workload(|rng| rng.range(1..10))
        .queries(|_| ())
        .seeds(0..20)
        .run();
}
// And from here.
#[test]
fn an_addition_is_counted_once() {
    sim::<Counter>().nodes(3).workload(|rng| rng.range(1..10)).seed(17).run();
}
// To here.

#[test]
fn the_guide_shows_this_code() {
    let guide = include_str!("../../../../docs/testing.md");
    let own = include_str!("guide.rs");
    let (_, own) = own.split_once("// From here.\n").unwrap();
    let (own, _) = own.split_once("// To here.\n").unwrap();
    for code in own.split("// And from here.\n") {
        assert!(
            guide.contains(&format!("```rust\n{code}```\n")),
            "not in docs/testing.md:\n{code}"
        );
    }
}
