//! Checks of the house rules, long runs and code generation.

fn main() {}
