//! What every server applied, and whether it may have.
//!
//! Rules, checked at each apply:
//! - an index holds one value, on every server and for ever;
//! - a server applies index after index: nothing twice, nothing left out, nothing before what it rests on;
//! - a snapshot holds what was applied up to its index, and never moves a server back.
//!
//! And at each look at a server that leads: a term has one leader, then and for ever.
//!
//! A restarted server may begin at index 1 again, or after anything that it is known to have had.

use std::collections::BTreeMap;

use super::command::tell;

/// All servers' applied values.
#[derive(Debug, Default)]
pub(super) struct Record {
    servers: Vec<Server>,
    /// The value that each index has, and the server that applied it first.
    chosen: BTreeMap<u64, (usize, Vec<u8>)>,
    /// Who was seen to lead in each term.
    leaders: BTreeMap<u64, usize>,
}

#[derive(Debug, Default)]
struct Server {
    values: BTreeMap<u64, Vec<u8>>,
    /// The last index since it was started; nothing where it has applied none yet.
    last: Option<u64>,
}

impl Record {
    pub(super) fn new(servers: usize) -> Self {
        Self { servers: (0..servers).map(|_| Server::default()).collect(), ..Self::default() }
    }

    /// A server was seen to lead in a term.
    ///
    /// # Errors
    ///
    /// When another one was, too, at whatever time.
    pub(super) fn led(&mut self, server: usize, term: u64) -> Result<(), String> {
        let first = *self.leaders.entry(term).or_insert(server);
        if first == server {
            return Ok(());
        }
        Err(format!(
            "servers {first} and {server} both led in term {term}: a term has one leader, so a server \
             must have voted twice in it"
        ))
    }

    /// A server was started again, and is remembered.
    pub(super) fn restarted(&mut self, server: usize) {
        self.servers[server].last = None;
    }

    /// A server was started again as a process that has only what it stored.
    pub(super) fn forgotten(&mut self, server: usize) {
        self.servers[server] = Server::default();
    }

    /// A server was started with the values of a snapshot.
    pub(super) fn restored(&mut self, server: usize, values: Vec<Vec<u8>>) {
        self.servers[server] = Server { values: (1..).zip(values).collect(), last: None };
    }

    /// # Errors
    ///
    /// The rule that is broken, in words.
    pub(super) fn apply(
        &mut self,
        server: usize,
        index: u64,
        value: Vec<u8>,
    ) -> Result<(), String> {
        let at = &self.servers[server];
        match at.last {
            Some(last) if index <= last => {
                return Err(format!(
                    "server {server} applied index {index} ({}) again: it was at index {last} already",
                    tell(&value)
                ));
            }
            Some(last) if index > last + 1 => {
                return Err(format!(
                    "server {server} applied index {index} ({}) after index {last}: something is left out",
                    tell(&value)
                ));
            }
            None if index != 1 && !at.values.contains_key(&index.saturating_sub(1)) => {
                return Err(format!(
                    "server {server} began at index {index} ({}), and never had what comes before it",
                    tell(&value)
                ));
            }
            Some(_) | None => {}
        }
        self.choose(server, index, &value)?;
        let at = &mut self.servers[server];
        at.values.insert(index, value);
        at.last = Some(index);
        Ok(())
    }

    /// A snapshot took the place of everything up to an index; `values` are all of them, or the last.
    ///
    /// # Errors
    ///
    /// The rule that is broken, in words.
    pub(super) fn install(
        &mut self,
        server: usize,
        index: u64,
        values: Vec<Vec<u8>>,
    ) -> Result<(), String> {
        if let Some(last) = self.servers[server].last
            && index <= last
        {
            return Err(format!(
                "server {server} was at index {last} and got a snapshot of index {index}: it would go back"
            ));
        }
        let first = (index + 1).checked_sub(values.len() as u64).filter(|first| *first > 0);
        let Some(first) = first else {
            return Err(format!(
                "server {server} got a snapshot of index {index} that holds {} values",
                values.len()
            ));
        };
        for (index, value) in (first..).zip(&values) {
            self.choose(server, index, value)
                .map_err(|what| format!("in a snapshot of index {index}: {what}"))?;
        }
        let values = (first..).zip(values).collect();
        self.servers[server] = Server { values, last: Some(index) };
        Ok(())
    }

    /// An index holds one value: this one.
    ///
    /// # Errors
    ///
    /// When it holds another.
    pub(super) fn choose(&mut self, server: usize, index: u64, value: &[u8]) -> Result<(), String> {
        if index == 0 {
            return Err(format!("server {server} applied index 0; the first index is 1"));
        }
        let (first, chosen) = self.chosen.entry(index).or_insert_with(|| (server, value.to_vec()));
        if chosen == value {
            return Ok(());
        }
        Err(format!(
            "two values were committed at index {index}: {} by server {first}, {} by server {server}",
            tell(chosen),
            tell(value)
        ))
    }

    /// Servers that applied an index, and its value.
    pub(super) fn committed(&self, index: u64) -> (usize, Option<Vec<u8>>) {
        let mut having = self.servers.iter().filter_map(|server| server.values.get(&index));
        let value = having.next().cloned();
        (usize::from(value.is_some()) + having.count(), value)
    }

    /// The value that one server has at an index.
    pub(super) fn value(&self, server: usize, index: u64) -> Option<&[u8]> {
        self.servers[server].values.get(&index).map(Vec::as_slice)
    }

    /// All values of a server from index 1 on.
    pub(super) fn values(&self, server: usize) -> Vec<Vec<u8>> {
        self.servers[server].values.values().cloned().collect()
    }

    /// The last index of a server.
    pub(super) fn last(&self, server: usize) -> u64 {
        self.servers[server].values.keys().next_back().copied().unwrap_or(0)
    }

    /// The last index that any server applied.
    pub(super) fn most(&self) -> u64 {
        self.chosen.keys().next_back().copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(byte: u8) -> Vec<u8> {
        vec![byte]
    }

    #[test]
    fn an_index_holds_one_value() {
        let mut record = Record::new(2);
        record.apply(0, 1, value(b'a')).unwrap();
        let what = record.apply(1, 1, value(b'b')).unwrap_err();
        assert_eq!(what, "two values were committed at index 1: `a` by server 0, `b` by server 1");
        // Also when the first server has forgotten it.
        record.forgotten(0);
        assert!(record.apply(1, 1, value(b'b')).is_err());
    }

    #[test]
    fn a_term_has_one_leader() {
        let mut record = Record::new(3);
        for (server, term) in [(0, 1), (1, 3), (1, 3), (0, 1), (0, 4)] {
            record.led(server, term).unwrap();
        }
        let what = record.led(2, 3).unwrap_err();
        assert!(what.starts_with("servers 1 and 2 both led in term 3"), "{what}");
    }

    #[test]
    fn nothing_is_applied_twice_or_left_out() {
        let mut record = Record::new(1);
        record.apply(0, 1, value(b'a')).unwrap();
        assert!(record.apply(0, 1, value(b'a')).unwrap_err().contains("again"));
        assert!(record.apply(0, 3, value(b'c')).unwrap_err().contains("left out"));
        record.apply(0, 2, value(b'b')).unwrap();
        assert!(Record::new(1).apply(0, 2, value(b'b')).unwrap_err().contains("never had"));
        assert!(Record::new(1).apply(0, 0, value(b'b')).is_err());
    }

    #[test]
    fn a_restarted_server_begins_again_or_goes_on() {
        let mut record = Record::new(1);
        for (index, byte) in (1..).zip(*b"abc") {
            record.apply(0, index, value(byte)).unwrap();
        }
        record.restarted(0);
        record.apply(0, 1, value(b'a')).unwrap();
        record.restarted(0);
        record.apply(0, 3, value(b'c')).unwrap();
        record.restarted(0);
        assert!(record.apply(0, 5, value(b'e')).is_err());
        record.forgotten(0);
        assert!(record.apply(0, 2, value(b'b')).is_err());
        record.apply(0, 1, value(b'a')).unwrap();
    }

    #[test]
    fn a_snapshot_holds_what_was_applied_and_never_goes_back() {
        let mut record = Record::new(2);
        for (index, byte) in (1..).zip(*b"abc") {
            record.apply(0, index, value(byte)).unwrap();
        }
        assert!(record.install(0, 2, vec![value(b'b')]).unwrap_err().contains("go back"));
        assert!(record.install(1, 2, vec![value(b'x')]).unwrap_err().contains("two values"));
        assert!(record.install(1, 1, vec![value(b'x'), value(b'y')]).is_err());
        record.install(1, 2, vec![value(b'a'), value(b'b')]).unwrap();
        record.apply(1, 3, value(b'c')).unwrap();
        assert_eq!(record.committed(1), (2, Some(value(b'a'))));
        assert_eq!((record.most(), record.last(1)), (3, 3));
    }
}
