//! Election Safety (Raft §5.2): at most one leader per term, at most one vote per term and voter,
//! over all lives of the voter.

use quorate_core::{NodeId, Term};

use super::{Broken, Facts};

/// A vote became part of what a node wants durable.
///
/// # Errors
///
/// When the voter has voted for another candidate in this term.
pub fn check_vote(
    facts: &mut Facts,
    term: Term,
    voter: NodeId,
    candidate: NodeId,
) -> Result<(), Broken> {
    let first = *facts.votes.entry((term, voter)).or_insert(candidate);
    if first == candidate {
        return Ok(());
    }
    let what = format!("{voter} voted for {first} and for {candidate} in {term}");
    Err(Broken::new("one vote per term", what))
}

/// A node leads a term.
///
/// # Errors
///
/// When another leads it, or the leader lacks a committed entry (Leader Completeness, Raft §5.4).
pub fn check_leader(facts: &mut Facts, term: Term, leader: NodeId) -> Result<(), Broken> {
    let first = *facts.leaders.entry(term).or_insert(leader);
    if first != leader {
        let what = format!("{first} and {leader} both lead {term}");
        return Err(Broken::new("one leader per term", what));
    }
    let Some(node) = facts.position(leader) else { return Ok(()) };
    let (log, committed) = (&facts.nodes[node].log, &facts.committed);
    // A leader of an earlier term may learn of its election late, and lack what came after it.
    let at = facts.committed_in.partition_point(|committed_in| *committed_in < term);
    if at > 0 && log.get(at - 1) != committed.get(at - 1) {
        let what = format!(
            "{leader} leads {term} without the committed entry {at}@{}",
            committed[at - 1].term.0
        );
        return Err(Broken::new("leader completeness", what));
    }
    Ok(())
}
