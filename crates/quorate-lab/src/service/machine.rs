//! What a service executes: a deterministic machine, and the two that the scenarios use.
//!
//! [`KvMachine`] holds texts by key and, for each client, the number of its last write: that is all
//! that exactly once needs when a client has one request under way at a time. A get that comes again
//! may be executed again, because nobody has seen its first answer. What is not held costs nothing in
//! the snapshot.

use std::collections::BTreeMap;
use std::fmt;

use super::wire::{Reader, Writer};

/// A deterministic machine: the same commands in the same order give the same replies.
pub trait Machine: Send + 'static {
    /// Executes a command and answers its reply.
    fn apply(&mut self, command: &[u8]) -> Vec<u8>;

    /// Everything that it needs to go on elsewhere, as bytes.
    fn save(&self) -> Vec<u8>;

    /// Goes on from what [`Machine::save`] gave.
    ///
    /// # Errors
    ///
    /// [`DamagedSnapshot`] if these bytes are no such thing.
    fn load(&mut self, snapshot: &[u8]) -> Result<(), DamagedSnapshot>;
}

/// A snapshot that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DamagedSnapshot;

impl fmt::Display for DamagedSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the snapshot is damaged: it was not made by this service, or it was changed")
    }
}

impl std::error::Error for DamagedSnapshot {}

/// What a client asks the key-value service for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Answers the value, or nothing where there is none.
    Get,
    /// Replaces the value.
    Put,
    /// Adds to the end of the value; without one, to the empty one.
    Append,
}

impl Action {
    const fn number(self) -> u64 {
        match self {
            Self::Get => 0,
            Self::Put => 1,
            Self::Append => 2,
        }
    }

    const fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Get),
            1 => Some(Self::Put),
            2 => Some(Self::Append),
            _ => None,
        }
    }
}

/// One request of one client, as it travels and as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvCommand {
    /// Who asks; unique among clients.
    pub client: String,
    /// The client's number of the request, growing by one; the same when it is sent again.
    pub sequence: u64,
    /// What to do.
    pub action: Action,
    /// Where.
    pub key: String,
    /// With what; empty for a get.
    pub value: String,
}

impl KvCommand {
    /// The command as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let head = Writer::default().number(self.action.number()).bytes(self.client.as_bytes());
        let head = head.number(self.sequence).bytes(self.key.as_bytes());
        match self.action {
            Action::Get => head.finish(),
            Action::Put | Action::Append => head.bytes(self.value.as_bytes()).finish(),
        }
    }

    /// The command that these bytes are, if they are one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let action = Action::from_number(reader.number()?)?;
        let client = reader.text()?;
        let sequence = reader.number()?;
        let key = reader.text()?;
        let value = if action == Action::Get { String::new() } else { reader.text()? };
        reader.end()?;
        Some(Self { client, sequence, action, key, value })
    }
}

/// Texts by key, each write executed once however often it is in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KvMachine {
    values: BTreeMap<String, String>,
    /// The number of each client's last write that was executed.
    written: BTreeMap<String, u64>,
}

impl KvMachine {
    /// The value of a key, if it has one.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// How many clients are remembered.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.written.len()
    }

    fn write(&mut self, command: KvCommand) {
        let written = self.written.entry(command.client).or_default();
        if command.sequence <= *written {
            return;
        }
        *written = command.sequence;
        let value = self.values.entry(command.key).or_default();
        if command.action == Action::Put {
            value.clear();
        }
        value.push_str(&command.value);
    }
}

impl Machine for KvMachine {
    /// A command that is none changes nothing and has an empty reply.
    fn apply(&mut self, command: &[u8]) -> Vec<u8> {
        let Some(command) = KvCommand::decode(command) else { return Vec::new() };
        if command.action == Action::Get {
            return self.value(&command.key).unwrap_or_default().as_bytes().to_vec();
        }
        self.write(command);
        Vec::new()
    }

    fn save(&self) -> Vec<u8> {
        let mut writer = Writer::default().number(self.values.len() as u64);
        for (key, value) in &self.values {
            writer = writer.bytes(key.as_bytes()).bytes(value.as_bytes());
        }
        writer = writer.number(self.written.len() as u64);
        for (client, sequence) in &self.written {
            writer = writer.bytes(client.as_bytes()).number(*sequence);
        }
        writer.finish()
    }

    fn load(&mut self, snapshot: &[u8]) -> Result<(), DamagedSnapshot> {
        *self = Self::read(snapshot).ok_or(DamagedSnapshot)?;
        Ok(())
    }
}

impl KvMachine {
    fn read(snapshot: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(snapshot);
        let mut machine = Self::default();
        for _ in 0..reader.number()? {
            machine.values.insert(reader.text()?, reader.text()?);
        }
        for _ in 0..reader.number()? {
            machine.written.insert(reader.text()?, reader.number()?);
        }
        reader.end()?;
        Some(machine)
    }
}

/// A number that commands change by an amount; the reply is the number afterwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CounterMachine {
    value: i64,
}

impl CounterMachine {
    /// The command that adds this amount.
    #[must_use]
    pub fn add(amount: i64) -> Vec<u8> {
        amount.to_le_bytes().to_vec()
    }

    /// The number that a reply says.
    #[must_use]
    pub fn reply(bytes: &[u8]) -> Option<i64> {
        bytes.try_into().ok().map(i64::from_le_bytes)
    }

    /// The number.
    #[must_use]
    pub const fn value(&self) -> i64 {
        self.value
    }
}

impl Machine for CounterMachine {
    fn apply(&mut self, command: &[u8]) -> Vec<u8> {
        let amount = Self::reply(command).unwrap_or_default();
        self.value = self.value.wrapping_add(amount);
        self.save()
    }

    fn save(&self) -> Vec<u8> {
        self.value.to_le_bytes().to_vec()
    }

    fn load(&mut self, snapshot: &[u8]) -> Result<(), DamagedSnapshot> {
        self.value = Self::reply(snapshot).ok_or(DamagedSnapshot)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(client: &str, sequence: u64, action: Action, value: &str) -> Vec<u8> {
        let [client, key, value] = [client, "k", value].map(str::to_owned);
        KvCommand { client, sequence, action, key, value }.encode()
    }

    #[test]
    fn a_write_that_comes_twice_is_executed_once_and_a_late_one_not_at_all() {
        let mut machine = KvMachine::default();
        for (sequence, value) in [(1, "a"), (1, "a"), (2, "b"), (1, "a"), (2, "b")] {
            machine.apply(&command("c", sequence, Action::Append, value));
        }
        machine.apply(&command("d", 1, Action::Append, "d"));
        assert_eq!(machine.apply(&command("c", 3, Action::Get, "")), b"abd");
    }

    #[test]
    fn the_snapshot_holds_what_duplicates_are_known_by_and_little_else() {
        let mut machine = KvMachine::default();
        for sequence in 1..=400 {
            machine.apply(&command("one client", sequence, Action::Put, &sequence.to_string()));
            machine.apply(&command("reader", sequence, Action::Get, ""));
        }
        let snapshot = machine.save();
        assert!(snapshot.len() < 40, "{} bytes", snapshot.len());
        let mut restored = KvMachine::default();
        restored.load(&snapshot).expect("a snapshot that was made here");
        assert_eq!(restored, machine);
        restored.apply(&command("one client", 400, Action::Append, "again"));
        assert_eq!(restored.value("k"), Some("400"));
    }

    #[test]
    fn bytes_that_are_no_snapshot_are_refused_and_no_command_changes_nothing() {
        let mut machine = KvMachine::default();
        machine.apply(&command("c", 1, Action::Put, "v"));
        let before = machine.clone();
        let snapshot = machine.save();
        for end in 0..snapshot.len() {
            assert_eq!(machine.load(&snapshot[..end]), Err(DamagedSnapshot));
        }
        assert!(machine.apply(&[9, 9]).is_empty());
        assert_eq!(machine, before);
        assert_eq!(CounterMachine::default().load(b"short"), Err(DamagedSnapshot));
    }
}
