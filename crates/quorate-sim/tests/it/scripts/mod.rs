//! Scripted worlds: what the courses on Raft ask of an implementation, every fault by hand, and
//! networks of which every node sees only a part.

mod away;
mod basic_agreement;
mod by_hand;
mod bytes_of_large_commands;
mod course;
mod figure_8;
mod no_agreement_without_majority;
mod partial_connectivity;
mod quick_back_up;
mod request_counts;
mod roles;
mod rot;
mod snapshots;
mod steps;
