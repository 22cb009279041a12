//! A store in one file: what `Maintenance.Snapshot` streams, and what a backup on disk is.
//!
//! The file stands by itself: what the store holds, of which cluster and revision that was, and a
//! checksum over all of it. Nobody need have the log or the other nodes to read it. It is no
//! database file of etcd's; what etcd's own tools expect of a stream holds all the same: a
//! multiple of 512 bytes, and behind them the SHA-256 of all before. `docs/store-format.md` has the
//! bytes.
//!
//! Nothing of a file is used before all of it was compared with its checksum.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use quorate::{SnapshotError, SnapshotView as _};
use quorate_kv::{Revision, StoreSnapshot, View};
use sha2::{Digest as _, Sha256};

/// What a stream says of its version to clients that ask.
pub(crate) const STREAM_VERSION: &str = "quorate-1";

const MAGIC: [u8; 8] = *b"QRTSTORE";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 48;
/// The content is filled up with zeros to a multiple of these.
const BLOCK_BYTES: u64 = 512;
const SUM_BYTES: usize = 32;
/// Bytes of a message of the stream.
const CHUNK_BYTES: usize = 64 << 10;

/// Where a backup comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupHeader {
    /// The cluster.
    pub cluster_id: u64,
    /// The member that made it.
    pub member_id: u64,
    /// Revision of the store.
    pub revision: Revision,
    /// Bytes of the store's snapshot in it.
    pub content_bytes: u64,
}

impl BackupHeader {
    /// Bytes of the whole file.
    #[must_use]
    pub const fn file_bytes(&self) -> u64 {
        let written = (HEADER_BYTES as u64).saturating_add(self.content_bytes);
        match written.checked_next_multiple_of(BLOCK_BYTES) {
            Some(blocks) => blocks.saturating_add(SUM_BYTES as u64),
            None => u64::MAX,
        }
    }

    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.cluster_id.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.member_id.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.revision.get().to_le_bytes());
        bytes[40..48].copy_from_slice(&self.content_bytes.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, Flaw> {
        let number = |at: usize| bytes[at..].first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
        if bytes[..8] != MAGIC {
            return Err(Flaw::NoBackup);
        }
        let [a, b, c, d, ..] = number(8).to_le_bytes();
        let version = u32::from_le_bytes([a, b, c, d]);
        if version != VERSION {
            return Err(Flaw::Version(version));
        }
        Ok(Self {
            cluster_id: number(16),
            member_id: number(24),
            revision: Revision(number(32).cast_signed()),
            content_bytes: number(40),
        })
    }
}

/// The messages of a stream, made as they are asked for.
#[derive(Debug)]
pub(crate) struct BackupWriter {
    header: BackupHeader,
    part: Part,
    content: StoreSnapshot,
    sum: Sha256,
    /// Bytes that were made and not given out.
    ready: Bytes,
    /// Bytes that were not given out.
    remaining: u64,
    room: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Header,
    Content,
    Sum,
    Nothing,
}

impl BackupWriter {
    /// Walks over the store once, to know its length.
    pub(crate) fn new(cluster_id: u64, member_id: u64, view: &View) -> Self {
        let content = view.snapshot();
        let (revision, content_bytes) = (view.revision(), content.bytes());
        let header = BackupHeader { cluster_id, member_id, revision, content_bytes };
        Self {
            header,
            part: Part::Header,
            content,
            sum: Sha256::new(),
            ready: Bytes::new(),
            remaining: header.file_bytes(),
            room: Vec::new(),
        }
    }

    /// The next bytes, and how many follow them; `None` behind the last.
    pub(crate) fn next(&mut self) -> Result<Option<(Bytes, u64)>, SnapshotError> {
        while self.ready.is_empty() {
            if self.part == Part::Nothing {
                return Ok(None);
            }
            self.make()?;
        }
        let chunk = self.ready.split_to(self.ready.len().min(CHUNK_BYTES));
        self.remaining = self.remaining.saturating_sub(chunk.len() as u64);
        Ok(Some((chunk, self.remaining)))
    }

    fn make(&mut self) -> Result<(), SnapshotError> {
        self.part = match self.part {
            Part::Header => {
                self.room.extend_from_slice(&self.header.encode());
                Part::Content
            }
            Part::Content if self.content.next(&mut self.room)? => Part::Content,
            Part::Content => {
                let written = HEADER_BYTES as u64 + self.header.content_bytes;
                let padding = written.next_multiple_of(BLOCK_BYTES) - written;
                let padding = usize::try_from(padding).expect("less than a block");
                self.room.resize(self.room.len() + padding, 0);
                Part::Sum
            }
            Part::Sum => {
                self.ready = Bytes::copy_from_slice(&self.sum.finalize_reset());
                self.part = Part::Nothing;
                return Ok(());
            }
            Part::Nothing => return Ok(()),
        };
        self.sum.update(&self.room);
        self.ready = Bytes::from(core::mem::take(&mut self.room));
        Ok(())
    }
}

/// A backup whose every byte was compared with its checksum.
#[derive(Debug)]
pub struct Backup {
    file: File,
    header: BackupHeader,
}

impl Backup {
    /// Reads all of a file and compares it with its checksum.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is no backup, or is not whole.
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        let error = |flaw| BackupError { path: path.to_owned(), flaw };
        Self::check(path).map_err(error)
    }

    fn check(path: &Path) -> Result<Self, Flaw> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut reader = BufReader::with_capacity(CHUNK_BYTES, &file);
        let mut header = [0; HEADER_BYTES];
        read_exact(&mut reader, &mut header, length)?;
        let mut sum = Sha256::new();
        sum.update(header);
        let header = BackupHeader::decode(&header)?;
        let expected = header.file_bytes();
        if length != expected {
            return Err(Flaw::Length { expected, found: length });
        }
        let mut left = length - (HEADER_BYTES + SUM_BYTES) as u64;
        let mut room = vec![0; CHUNK_BYTES];
        while left > 0 {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_BYTES);
            read_exact(&mut reader, &mut room[..count], length)?;
            sum.update(&room[..count]);
            left -= count as u64;
        }
        let mut found = [0; SUM_BYTES];
        read_exact(&mut reader, &mut found, length)?;
        if sum.finalize()[..] != found {
            return Err(Flaw::Checksum);
        }
        drop(reader);
        Ok(Self { file, header })
    }

    /// Where it comes from.
    #[must_use]
    pub const fn header(&self) -> &BackupHeader {
        &self.header
    }

    /// The snapshot of the store, from its beginning.
    ///
    /// # Errors
    ///
    /// When the file cannot be read any more.
    pub fn content(&mut self) -> io::Result<impl Read> {
        self.file.seek(SeekFrom::Start(HEADER_BYTES as u64))?;
        let reader = BufReader::with_capacity(CHUNK_BYTES, &self.file);
        Ok(reader.take(self.header.content_bytes))
    }
}

/// Fills the room, or says that the file is too short.
fn read_exact(reader: &mut impl Read, room: &mut [u8], length: u64) -> Result<(), Flaw> {
    reader.read_exact(room).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => Flaw::TooShort { length },
        _ => Flaw::Read(error),
    })
}

/// Why a file cannot be used as a backup.
#[derive(Debug, thiserror::Error)]
#[error("{}: {flaw}", path.display())]
pub struct BackupError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub flaw: Flaw,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is something else.
    #[error("is no backup of a Quorate store")]
    NoBackup,
    /// It was written by a later version.
    #[error("has version {0} of the format, which this program does not know")]
    Version(u32),
    /// It ends before it says anything.
    #[error("has {length} bytes, which is less than any backup has")]
    TooShort {
        /// Its bytes.
        length: u64,
    },
    /// It is cut, or has grown.
    #[error("has {found} bytes, and {expected} were written")]
    Length {
        /// Bytes that it should have.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// A byte of it is not as it was written.
    #[error("is damaged: its checksum does not match")]
    Checksum,
    /// It is whole, and what it holds is no store.
    #[error("cannot be restored: {0}")]
    Content(#[from] SnapshotError),
}

#[cfg(test)]
mod tests {
    use quorate::Snapshot as _;
    use quorate_kv::{Command, Put, Store};

    use super::*;

    fn store() -> Store {
        let mut store = Store::default();
        for number in 0..3000_u32 {
            let put = Put::new(&number.to_be_bytes(), &[7; 60]);
            store.apply(Command::Put(put), &mut Vec::new());
        }
        store.apply(Command::Put(Put::new(b"large", &[9; 200_000])), &mut Vec::new());
        store
    }

    fn written(store: &Store) -> Vec<u8> {
        let mut writer = BackupWriter::new(0xc1, 0x0e, &store.view());
        let mut bytes = Vec::new();
        while let Some((chunk, remaining)) = writer.next().unwrap() {
            assert!(!chunk.is_empty() && chunk.len() <= CHUNK_BYTES);
            bytes.extend_from_slice(&chunk);
            assert_eq!(bytes.len() as u64 + remaining, writer.header.file_bytes());
        }
        assert_eq!(bytes.len() as u64, writer.header.file_bytes());
        bytes
    }

    fn opened(bytes: &[u8]) -> Result<Backup, BackupError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        Backup::open(file.path())
    }

    #[test]
    fn a_store_comes_back_from_its_file() {
        for store in [Store::default(), store()] {
            let bytes = written(&store);
            assert_eq!(bytes.len() % 512, 32, "as etcd's clients expect it");
            assert_eq!(Sha256::digest(&bytes[..bytes.len() - 32])[..], bytes[bytes.len() - 32..]);
            let mut backup = opened(&bytes).unwrap();
            let header = *backup.header();
            assert_eq!((header.cluster_id, header.member_id), (0xc1, 0x0e));
            assert_eq!(header.revision, store.view().revision());
            for _ in 0..2 {
                let mut other = Store::default();
                other.restore(&mut backup.content().unwrap()).unwrap();
                let digest = other.view().digest(Revision::ZERO);
                assert_eq!(digest, store.view().digest(Revision::ZERO));
            }
        }
    }

    #[test]
    fn a_file_that_is_not_whole_is_refused_and_said() {
        let bytes = written(&store());
        let flaw = |bytes: &[u8]| opened(bytes).unwrap_err().flaw;
        for at in [20, 100, bytes.len() / 2, bytes.len() - 33, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert!(matches!(flaw(&damaged), Flaw::Checksum), "at {at}");
        }
        for cut in [48, 79, 80, 512, bytes.len() - 512, bytes.len() - 1] {
            assert!(matches!(flaw(&bytes[..cut]), Flaw::Length { .. }), "cut at {cut}");
        }
        for cut in [0, 7, 47] {
            assert!(matches!(flaw(&bytes[..cut]), Flaw::TooShort { .. }), "cut at {cut}");
        }
        assert!(matches!(flaw(&[&bytes[..], &[0]].concat()), Flaw::Length { .. }));
        let mut later = bytes.clone();
        later[8] = 2;
        assert!(matches!(flaw(&later), Flaw::Version(2)));
        assert!(matches!(flaw(&[b'x'; 5000]), Flaw::NoBackup));
        // A length that was never there makes nobody allocate anything.
        let mut long = bytes;
        long[40..48].fill(255);
        assert!(matches!(flaw(&long), Flaw::Length { .. }));
        let missing = Backup::open(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(missing.to_string().contains("/nowhere/at/all: cannot be read"), "{missing}");
    }
}
