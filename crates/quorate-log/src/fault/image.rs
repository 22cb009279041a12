//! The bytes of a virtual file, by sector.
//!
//! What the file shows and what is durable of it are mostly the same, and most of a segment is zeros
//! for most of its life: equal sectors are shared, and zeros take no room.

use std::sync::Arc;

use super::disk::SECTOR_BYTES;

type Sector = [u8; SECTOR_BYTES];

const ZEROS: Sector = [0; SECTOR_BYTES];

/// A file's bytes. Behind its length, the last sector holds zeros.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    length: usize,
    /// Where there is none, it is all zeros.
    sectors: Vec<Option<Arc<Sector>>>,
}

impl Image {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut image = Self::default();
        image.write(0, bytes);
        image
    }

    pub(super) const fn len(&self) -> usize {
        self.length
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.length];
        self.read(0, &mut bytes);
        bytes
    }

    /// Cuts the file, or lets it grow by zeros.
    pub(super) fn resize(&mut self, length: usize) {
        self.sectors.resize(length.div_ceil(SECTOR_BYTES), None);
        let kept = length % SECTOR_BYTES;
        if length < self.length
            && kept > 0
            && let Some(Some(last)) = self.sectors.last_mut()
        {
            Arc::make_mut(last)[kept..].fill(0);
        }
        self.length = length;
    }

    /// Writes bytes at an offset; the file grows if it must.
    pub(super) fn write(&mut self, start: usize, bytes: &[u8]) {
        let end = start + bytes.len();
        if self.length < end {
            self.resize(end);
        }
        let (mut at, mut rest) = (start, bytes);
        while !rest.is_empty() {
            let within = at % SECTOR_BYTES;
            let (part, behind) = rest.split_at(rest.len().min(SECTOR_BYTES - within));
            write_sector(&mut self.sectors[at / SECTOR_BYTES], within, part);
            (at, rest) = (at + part.len(), behind);
        }
    }

    /// Reads as much as there is from an offset on; says how much that is.
    pub(super) fn read(&self, start: usize, buffer: &mut [u8]) -> usize {
        let start = start.min(self.length);
        let count = buffer.len().min(self.length - start);
        let (mut at, mut rest) = (start, &mut buffer[..count]);
        while !rest.is_empty() {
            let within = at % SECTOR_BYTES;
            let length = rest.len().min(SECTOR_BYTES - within);
            let (part, behind) = rest.split_at_mut(length);
            match &self.sectors[at / SECTOR_BYTES] {
                Some(sector) => part.copy_from_slice(&sector[within..within + length]),
                None => part.fill(0),
            }
            (at, rest) = (at + length, behind);
        }
        count
    }

    /// Makes one sector what it is in another image, as far as both reach.
    pub(super) fn take_sector(&mut self, source: &Self, sector: usize) {
        let start = sector * SECTOR_BYTES;
        let end = start + SECTOR_BYTES;
        if self.length == source.length || self.length >= end && source.length >= end {
            if let (Some(to), Some(from)) =
                (self.sectors.get_mut(sector), source.sectors.get(sector))
            {
                to.clone_from(from);
            }
        } else {
            self.take_range(source, start, end);
        }
    }

    /// Makes a part of one sector what it is in another image, as far as both reach.
    pub(super) fn take_range(&mut self, source: &Self, start: usize, end: usize) {
        let end = end.min(self.length).min(source.length);
        if start < end {
            let mut bytes = vec![0; end - start];
            source.read(start, &mut bytes);
            self.write(start, &bytes);
        }
    }
}

fn write_sector(sector: &mut Option<Arc<Sector>>, within: usize, part: &[u8]) {
    match sector {
        Some(shared) if part.len() < SECTOR_BYTES => {
            Arc::make_mut(shared)[within..within + part.len()].copy_from_slice(part);
        }
        None if part.len() < SECTOR_BYTES => {
            let mut fresh = ZEROS;
            fresh[within..within + part.len()].copy_from_slice(part);
            *sector = Some(Arc::new(fresh));
        }
        _ if part == ZEROS => *sector = None,
        _ => *sector = Some(Arc::new(part.try_into().expect("a whole sector"))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What can be done with bytes, in words that a plain vector understands, too.
    #[derive(Clone, Debug)]
    enum Change {
        Resize(usize),
        Write(usize, Vec<u8>),
        TakeSector(usize),
        TakeRange(usize, usize),
        Share,
    }

    fn change() -> impl Strategy<Value = Change> {
        let bytes = (0..1_300_usize, any::<u8>().prop_map(|byte| byte % 2));
        prop_oneof![
            (0..2_000_usize).prop_map(Change::Resize),
            (0..1_500_usize, bytes).prop_map(|(at, (count, byte))| {
                let bytes = (0..count).map(|at| byte * u8::try_from(at % 251).unwrap());
                Change::Write(at, bytes.collect())
            }),
            (0..5_usize).prop_map(Change::TakeSector),
            (0..32_usize).prop_map(|chunk| Change::TakeRange(chunk * 64, chunk * 64 + 64)),
            Just(Change::Share),
        ]
    }

    fn take(target: &mut [u8], source: &[u8], start: usize, end: usize) {
        let end = end.min(target.len()).min(source.len());
        if start < end {
            target[start..end].copy_from_slice(&source[start..end]);
        }
    }

    proptest! {
        #[test]
        fn is_what_a_vector_of_bytes_is(changes in prop::collection::vec(change(), 1..40)) {
            let (mut image, mut other) = (Image::default(), Image::default());
            let (mut plain, mut other_plain) = (Vec::new(), Vec::new());
            for change in changes {
                match change {
                    Change::Resize(length) => {
                        image.resize(length);
                        plain.resize(length, 0);
                    }
                    Change::Write(at, bytes) => {
                        image.write(at, &bytes);
                        if !bytes.is_empty() {
                            plain.resize(plain.len().max(at + bytes.len()), 0);
                            plain[at..at + bytes.len()].copy_from_slice(&bytes);
                        }
                        plain.resize(plain.len().max(at + bytes.len()), 0);
                    }
                    Change::TakeSector(sector) => {
                        image.take_sector(&other, sector);
                        let start = sector * SECTOR_BYTES;
                        take(&mut plain, &other_plain, start, start + SECTOR_BYTES);
                    }
                    Change::TakeRange(start, end) => {
                        image.take_range(&other, start, end);
                        take(&mut plain, &other_plain, start, end);
                    }
                    Change::Share => {
                        (other, other_plain) = (image.clone(), plain.clone());
                    }
                }
                prop_assert_eq!(image.to_vec(), plain.clone());
                prop_assert_eq!(other.to_vec(), other_plain.clone());
                let mut part = [9; 700];
                let read = image.read(300, &mut part);
                prop_assert_eq!(&part[..read], plain.get(300..).map_or(&[][..], |b| &b[..b.len().min(700)]));
            }
        }
    }
}
