//! Snapshots of the small world: files in memory, and what a shell does with them.

use super::*;

/// The files of one node.
#[derive(Default)]
pub(in crate::replica) struct Store {
    files: Vec<(StoredSnapshot, Vec<u8>)>,
    /// What is being received.
    partial: Option<(SnapshotId, Vec<u8>)>,
    pub(super) jobs: VecDeque<ReplicaEffect>,
    /// Whether jobs stay undone.
    pub(super) is_held: bool,
    /// Whether taking fails.
    pub(super) is_full: bool,
    /// A file that cannot be read, until it is written again.
    pub(super) spoilt: Option<SnapshotId>,
}

/// The term at an index of a durable log.
pub(super) fn term_at(base: EntryId, log: &[Entries], index: Index) -> Option<Term> {
    if index == base.index {
        return Some(base.term);
    }
    log.iter().find(|slice| slice.first() == index).map(|slice| slice.last_id().term)
}

/// A file: what the head says, then the commands with their places.
fn encode(meta: &[u8], state: &[(EntryId, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut put = |part: &[u8]| {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    };
    put(meta);
    for (id, command) in state {
        put(&[id.index.0.to_le_bytes(), id.term.0.to_le_bytes()].concat());
        put(command);
    }
    bytes
}

fn parts(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut parts, mut rest) = (Vec::new(), bytes);
    while let Some((length, after)) = rest.split_first_chunk::<8>() {
        let (part, after) = after.split_at(usize::try_from(u64::from_le_bytes(*length)).unwrap());
        parts.push(part);
        rest = after;
    }
    parts
}

fn hash(bytes: &[u8]) -> u128 {
    bytes.iter().fold(7, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

impl Store {
    /// The files after a crash.
    pub(super) fn restarted(self) -> Self {
        let (jobs, is_held) = (VecDeque::new(), false);
        Self { jobs, is_held, ..self }
    }

    pub(super) fn newest(&self) -> Option<StoredSnapshot> {
        let files = self.files.iter().map(|(stored, _)| stored);
        files.max_by_key(|stored| stored.id.last.index).cloned()
    }

    pub(super) fn ids(&self) -> Vec<SnapshotId> {
        self.files.iter().map(|(stored, _)| stored.id).collect()
    }

    fn bytes(&self, id: SnapshotId) -> Option<&Vec<u8>> {
        self.files.iter().find(|(stored, _)| stored.id == id).map(|(_, bytes)| bytes)
    }

    /// What the state machine holds after it.
    pub(super) fn state(&self, id: SnapshotId) -> Vec<(EntryId, Vec<u8>)> {
        let parts = parts(self.bytes(id).expect("a file that is restored is there"));
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
        let entry = |pair: &[&[u8]]| {
            let (index, term) = pair[0].split_at(8);
            (EntryId::new(Index(number(index)), Term(number(term))), pair[1].to_vec())
        };
        parts[1..].chunks(2).map(entry).collect()
    }

    pub(super) fn take(
        &mut self,
        last: EntryId,
        meta: Vec<u8>,
        state: &[(EntryId, Vec<u8>)],
    ) -> ReplicaInput {
        if self.is_full {
            return ReplicaInput::SnapshotTakeFailed { reason: "no space".to_owned() };
        }
        let bytes = encode(&meta, state);
        let id = SnapshotId { last, bytes: bytes.len() as u64, hash: hash(&bytes) };
        let stored = StoredSnapshot { id, meta };
        self.spoilt.take_if(|spoilt| *spoilt == id);
        self.files.retain(|(other, _)| other.id != id);
        self.files.push((stored.clone(), bytes));
        ReplicaInput::SnapshotTaken(stored)
    }

    /// Does the oldest job; what there is to say of it.
    pub(super) fn work(&mut self) -> Option<Vec<ReplicaInput>> {
        let said = match self.jobs.pop_front()? {
            ReplicaEffect::ReceiveSnapshot(id) => {
                let partial = self.partial.take().filter(|(other, _)| *other == id);
                let (_, bytes) = self.partial.insert(partial.unwrap_or((id, Vec::new())));
                ReplicaInput::ChunkStored { id, received: bytes.len() as u64 }
            }
            ReplicaEffect::StoreChunk { id, offset, data } => {
                let (open, bytes) = self.partial.as_mut().expect("a file is open");
                assert_eq!((*open, bytes.len() as u64), (id, offset), "pieces come in order");
                bytes.extend_from_slice(&data);
                ReplicaInput::ChunkStored { id, received: bytes.len() as u64 }
            }
            ReplicaEffect::InstallSnapshot(id) => {
                let (open, bytes) = self.partial.take().expect("a file is open");
                assert_eq!(open, id, "what was received is what is installed");
                if (bytes.len() as u64, hash(&bytes)) == (id.bytes, id.hash) {
                    let meta = parts(&bytes)[0].to_vec();
                    let stored = StoredSnapshot { id, meta };
                    self.files.push((stored.clone(), bytes));
                    ReplicaInput::SnapshotVerified(stored)
                } else {
                    ReplicaInput::SnapshotRejected(id)
                }
            }
            ReplicaEffect::ReadSnapshot { ticket, id, offset, bytes } => {
                let from = usize::try_from(offset).unwrap();
                let sound = self.bytes(id).filter(|_| self.spoilt != Some(id));
                let file = sound.and_then(|file| file.get(from..from + bytes as usize));
                let outcome = file.map(<[u8]>::to_vec).ok_or_else(|| "it is gone".to_owned());
                ReplicaInput::SnapshotRead { ticket, outcome }
            }
            ReplicaEffect::KeepSnapshots(ids) => {
                self.files.retain(|(stored, _)| ids.contains(&stored.id));
                return Some(Vec::new());
            }
            other => unreachable!("no job for the store: {other:?}"),
        };
        Some(vec![said])
    }
}
