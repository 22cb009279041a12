//! Seeds of the built-in store that once failed, each named after its bug; the first shows the form
//! and never failed.
//!
//! A failing seed prints the line to paste here. Those of the store that servers run are in
//! `quorate-cli`, `src/verb/sim/kv/tests.rs`.

use quorate_sim::regression;

regression!(a_seed_becomes_a_test, seed = 4711, nodes = 3, millis = 5_000);
