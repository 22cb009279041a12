//! The demo's table: who runs, who leads.

use quorate_client::proto::StatusResponse;

use crate::output::Table;

/// What is shown of one server. A table is printed when a row differs from what was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) endpoint: String,
    /// Number of its process, if the demo's own runs.
    pub(super) process: Option<u32>,
    /// What it says about itself, if it answers.
    pub(super) seen: Option<Seen>,
}

/// What a server says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    leads: bool,
    knows_leader: bool,
    term: u64,
}

impl Seen {
    pub(super) fn new(status: &StatusResponse) -> Self {
        let member = status.header.map_or(0, |header| header.member_id);
        let knows_leader = status.leader != 0;
        Self {
            leads: knows_leader && status.leader == member,
            knows_leader,
            term: status.raft_term,
        }
    }
}

impl Row {
    /// Whether this server leads.
    pub(super) fn leads(&self) -> bool {
        self.seen.is_some_and(|seen| seen.leads)
    }

    fn role(&self) -> &'static str {
        match (self.seen, self.process) {
            (Some(Seen { leads: true, .. }), _) => "leader",
            (Some(Seen { knows_leader: true, .. }), _) => "follower",
            (Some(_), _) => "waits for a leader",
            (None, Some(_)) => "starting",
            (None, None) => "down",
        }
    }
}

/// The table of all servers.
pub(super) fn table(rows: &[Row]) -> String {
    let mut table = Table::new(["NAME", "CLIENTS", "PROCESS", "ROLE", "TERM"]);
    for row in rows {
        let process = match (row.process, row.seen) {
            (Some(id), _) => id.to_string(),
            (None, Some(_)) => "elsewhere".to_owned(),
            (None, None) => "-".to_owned(),
        };
        let term = row.seen.map_or_else(|| "-".to_owned(), |seen| seen.term.to_string());
        let role = row.role().to_owned();
        table.push(vec![row.name.clone(), row.endpoint.clone(), process, role, term]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_is_known() {
        let seen = |leads, knows_leader| Some(Seen { leads, knows_leader, term: 4 });
        let row = |process, seen| Row {
            name: "n1".into(),
            endpoint: "127.0.0.1:2379".into(),
            process,
            seen,
        };
        assert_eq!(row(Some(1), seen(true, true)).role(), "leader");
        assert_eq!(row(Some(1), seen(false, true)).role(), "follower");
        assert_eq!(row(Some(1), seen(false, false)).role(), "waits for a leader");
        assert_eq!(row(Some(1), None).role(), "starting");
        assert_eq!(row(None, None).role(), "down");
        assert!(table(&[row(None, seen(false, true))]).contains("elsewhere"));
    }
}
