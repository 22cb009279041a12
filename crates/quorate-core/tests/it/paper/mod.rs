//! One test for each rule of the Raft paper's figure 2 and of its sections 5.1 to 5.4, named by the
//! rule; a comment names the section. Each runs on a log that begins at the first entry and on one
//! that begins at a snapshot. [`solo::Solo`] is one node whose peers the test plays.

mod all_servers;
mod append_entries;
mod candidates;
mod followers;
mod leaders;
mod request_vote;
mod safety;
mod solo;
