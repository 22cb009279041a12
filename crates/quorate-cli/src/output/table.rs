//! Tables of text with ASCII borders, as etcdctl draws them.

use std::fmt;

use quorate_client::proto::MemberListResponse;

use super::{BackupStatus, EndpointStatus, size};

/// Rows under a heading, each column as wide as its widest cell.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    /// etcdctl's tables are; words read better on the left.
    aligned_right: bool,
}

impl Table {
    pub(crate) fn new<const N: usize>(heading: [&str; N]) -> Self {
        Self { rows: vec![heading.map(str::to_owned).to_vec()], aligned_right: false }
    }

    /// Aligns every cell as etcdctl does.
    fn aligned_right(mut self) -> Self {
        self.aligned_right = true;
        self
    }

    pub(crate) fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        (0..columns).map(width).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let rule: String = widths.iter().map(|width| format!("+{:-<1$}", "", width + 2)).collect();
        writeln!(f, "{rule}+")?;
        for (number, row) in self.rows.iter().enumerate() {
            for (cell, width) in row.iter().zip(&widths) {
                if number == 0 {
                    write!(f, "| {cell:^width$} ")?;
                } else if self.aligned_right {
                    write!(f, "| {cell:>width$} ")?;
                } else {
                    write!(f, "| {cell:<width$} ")?;
                }
            }
            writeln!(f, "|")?;
            if number == 0 {
                writeln!(f, "{rule}+")?;
            }
        }
        writeln!(f, "{rule}+")
    }
}

pub(super) fn backup(status: &BackupStatus) -> Vec<u8> {
    let mut table = Table::new(["HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE"]).aligned_right();
    let BackupStatus { hash, revision, keys, .. } = status;
    table.push(vec![format!("{hash:x}"), revision.to_string(), keys.to_string(), status.size()]);
    table.to_string().into_bytes()
}

pub(super) fn members(reply: &MemberListResponse) -> Vec<u8> {
    let heading = ["ID", "STATUS", "NAME", "PEER ADDRS", "CLIENT ADDRS", "IS LEARNER"];
    let mut table = Table::new(heading).aligned_right();
    member_rows(reply).into_iter().for_each(|row| table.push(row));
    table.to_string().into_bytes()
}

/// A row for each member, as etcdctl has it in the plain form too.
pub(super) fn member_rows(reply: &MemberListResponse) -> Vec<Vec<String>> {
    let row = |member: &quorate_client::proto::Member| {
        let status = if member.name.is_empty() { "unstarted" } else { "started" };
        vec![
            format!("{:x}", member.id),
            status.to_owned(),
            member.name.clone(),
            member.peer_urls.join(","),
            member.client_urls.join(","),
            member.is_learner.to_string(),
        ]
    };
    reply.members.iter().map(row).collect()
}

pub(super) fn statuses(statuses: &[EndpointStatus]) -> Vec<u8> {
    let mut table = Table::new([
        "ENDPOINT",
        "ID",
        "VERSION",
        "DB SIZE",
        "IS LEADER",
        "IS LEARNER",
        "RAFT TERM",
        "RAFT INDEX",
        "RAFT APPLIED INDEX",
        "ERRORS",
    ])
    .aligned_right();
    status_rows(statuses, size).into_iter().for_each(|row| table.push(row));
    table.to_string().into_bytes()
}

/// A row for each endpoint, as etcdctl has it in the plain form too.
pub(super) fn status_rows(
    statuses: &[EndpointStatus],
    size: impl Fn(i64) -> String,
) -> Vec<Vec<String>> {
    let row = |EndpointStatus { endpoint, status }: &EndpointStatus| {
        let member = status.header.map_or(0, |header| header.member_id);
        vec![
            endpoint.clone(),
            format!("{member:x}"),
            status.version.clone(),
            size(status.db_size),
            (status.leader != 0 && status.leader == member).to_string(),
            status.is_learner.to_string(),
            status.raft_term.to_string(),
            status.raft_index.to_string(),
            status.raft_applied_index.to_string(),
            status.errors.join(", "),
        ]
    };
    statuses.iter().map(row).collect()
}
