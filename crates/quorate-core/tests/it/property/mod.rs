//! Random clusters against the rules that must always hold.

mod cluster;
