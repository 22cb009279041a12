//! What a node without a leader tells people: which voters it would need and does not reach.

use core::fmt;

use quorate_core::NodeId;

use super::{Member, Roster};

/// Voters that are silent, where without them there is no majority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MissingMajority {
    /// Voters of the half that lacks its majority.
    voters: usize,
    /// Name and address of each that does not answer.
    silent: Vec<(String, String)>,
}

/// Who is silent, if those that answer are no majority of a half.
pub(crate) fn missing_majority(
    roster: &Roster,
    answers: impl Fn(NodeId) -> bool,
) -> Option<MissingMajority> {
    let of = |half: Vec<&Member>| {
        let silent: Vec<&&Member> = half.iter().filter(|member| !answers(member.id)).collect();
        let majority = half.len() - silent.len() > half.len() / 2;
        let named = |member: &&&Member| (member.name.clone(), member.peer_address.clone());
        (!half.is_empty() && !majority).then(|| MissingMajority {
            voters: half.len(),
            silent: silent.iter().map(named).collect(),
        })
    };
    of(roster.voters().collect()).or_else(|| of(roster.outgoing().collect()))
}

impl fmt::Display for MissingMajority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (voters, silent) = (self.voters, self.silent.len());
        write!(
            f,
            "no leader: waits for a majority of {voters} voters, of which {silent} do not answer: "
        )?;
        for (at, (name, address)) in self.silent.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{name} at {address}")?;
        }
        f.write_str("; start them on the data directories that they had, or mend the network")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(number: u64) -> Member {
        Member {
            id: NodeId::new(number).unwrap(),
            name: format!("n{number}"),
            peer_address: format!("h{number}:1"),
            client_urls: Vec::new(),
        }
    }

    fn among(answering: &[u64]) -> impl Fn(NodeId) -> bool {
        move |id| answering.contains(&id.get())
    }

    #[test]
    fn a_majority_misses_nobody_and_a_minority_names_who_is_silent() {
        let roster = Roster::of_voters((1..=3).map(member)).unwrap();
        assert_eq!(missing_majority(&roster, among(&[1, 3])), None);
        let text = missing_majority(&roster, among(&[1])).unwrap().to_string();
        assert!(text.contains("waits for a majority of 3 voters"), "{text}");
        assert!(text.contains("n2 at h2:1, n3 at h3:1"), "{text}");
    }

    #[test]
    fn each_half_needs_a_majority_of_its_own() {
        let roster = Roster::new((1..=3).map(member), (3..=5).map(member), []).unwrap();
        assert_eq!(missing_majority(&roster, among(&[1, 3, 4])), None);
        let text = missing_majority(&roster, among(&[1, 2])).unwrap().to_string();
        assert!(text.contains("n3 at h3:1, n4 at h4:1, n5 at h5:1"), "{text}");
    }
}
