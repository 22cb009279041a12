//! Reading the segments: first every header, then every batch.
//!
//! The headers come first because each says where its predecessor ends: what lies beyond that end
//! was never acknowledged, what lies before it must verify.

use quorate_core::{EntryId, Index, mutant};

use super::{Opening, Stage, TornTail, bad_file, damage, unreadable};
use crate::directory::Named;
use crate::error::{Damage, DamageKind, OpenError};
use crate::fs::Fs;
use crate::log::Current;
use crate::scan::{self, Found, Position, Proven, Wound};
use crate::segment::{SEGMENT_HEADER_BYTES, Segment, SegmentHeader, segment_name};
use crate::small::SmallKind;
use crate::whiten::Whitener;

/// A segment whose header was read.
#[derive(Debug)]
pub(super) struct Headed<T> {
    pub(super) header: SegmentHeader,
    pub(super) file: Named<T>,
}

impl<F: Fs> Opening<F> {
    /// One operation of reading a segment's header.
    pub(super) fn read_header(&mut self) -> Result<(), OpenError> {
        let Some(&sequence) = self.headers_left.front() else {
            return self.check_headers();
        };
        let Some(file) = &self.reading.file else {
            self.reading.file = Some(self.directory().open(&segment_name(sequence))?);
            return Ok(());
        };
        let Some(length) = self.reading.length else {
            self.reading.length = Some(file.length()?);
            return Ok(());
        };
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        let read = file.read(&mut bytes, 0).map_err(unreadable)?;
        let header =
            SegmentHeader::decode(&bytes[..read]).map_err(|error| bad_file(&file.path, error))?;
        let expected = self.node.expect("the identity was read");
        if header.node != expected {
            let (file, found) = (file.path.clone(), Some(header.node));
            return Err(OpenError::OtherNode { file, expected, found });
        }
        if header.sequence != sequence {
            return Err(OpenError::Damaged(damage(file.path.clone(), DamageKind::Misplaced)));
        }
        if header.capacity > length {
            let first = Some(header.start.index.next());
            let damage = damage(file.path.clone(), DamageKind::Short);
            return Err(OpenError::Damaged(Damage { offset: length, first, ..damage }));
        }
        self.check_cluster(header.cluster)?;
        let file = self.reading.file.take().expect("opened before");
        self.reading.length = None;
        self.headed.push_back(Headed { header, file });
        self.headers_left.pop_front();
        Ok(())
    }

    /// Refuses when a segment that is needed is missing; sets aside those that are not needed.
    fn check_headers(&mut self) -> Result<(), OpenError> {
        let base = self.base_id();
        let (_, record) = self.chosen.expect("the hard state was chosen");
        let needed = self.headed.iter().rposition(|s| s.header.start.index <= base.index);
        for headed in self.headed.drain(..needed.unwrap_or(0)) {
            self.unneeded.push_back(headed.header.name());
        }
        let highest = self.headed.back().map_or(0, |headed| headed.header.sequence);
        let mut missing = (highest < record.segment).then_some((record.segment, base.index.next()));
        if let Some(first) = self.headed.front()
            && first.header.start.index > base.index
        {
            missing = Some((first.header.sequence.saturating_sub(1), base.index.next()));
        }
        let pairs = self.headed.iter().zip(self.headed.iter().skip(1));
        let mut misplaced = None;
        for (one, two) in pairs {
            if one.header.sequence.checked_add(1) != Some(two.header.sequence) {
                missing = Some((one.header.sequence + 1, one.header.start.index.next()));
                break;
            }
            if two.header.previous_id != one.header.id
                || two.header.previous_end > one.header.capacity
            {
                misplaced = Some(two.file.path.clone());
                break;
            }
        }
        if let Some(file) = misplaced {
            return Err(OpenError::Damaged(damage(file, DamageKind::Chain)));
        }
        if let Some((sequence, first)) = missing {
            let name = if sequence == 0 {
                SmallKind::Base.name().to_owned()
            } else {
                segment_name(sequence)
            };
            return Err(OpenError::SegmentMissing { file: self.directory().path(&name), first });
        }
        if let Some(first) = self.headed.front() {
            self.chain = (first.header.previous_batch, first.header.previous_hash);
        }
        self.stage = Stage::Segments;
        Ok(())
    }

    /// Reads and scans one segment.
    pub(super) fn read_segment(&mut self) -> Result<(), OpenError> {
        let Some(Headed { header, file }) = self.headed.pop_front() else {
            return self.check_end();
        };
        let next = self.headed.front().map(|next| next.header);
        let contents = self.contents.as_mut().expect("made with the hard state");
        let segment = Segment { header, file: file.clone(), spots: Vec::new() };
        contents.begin(segment).map_err(|kind| {
            let first = Some(contents.last().index.next());
            OpenError::Damaged(Damage { first, ..damage(file.path.clone(), kind) })
        })?;
        let size = usize::try_from(header.capacity)
            .map_err(|_| OpenError::Damaged(damage(file.path.clone(), DamageKind::Length)))?;
        let mut bytes = vec![0; size];
        let read = file.read(&mut bytes, 0).map_err(|failure| {
            let first = Some(contents.last().index.next());
            match unreadable(failure) {
                OpenError::Damaged(damage) => OpenError::Damaged(Damage { first, ..damage }),
                other => other,
            }
        })?;
        if read < size {
            let damage = damage(file.path, DamageKind::Short);
            return Err(OpenError::Damaged(Damage { offset: read as u64, ..damage }));
        }
        let end = self.scan(&header, &file, &mut bytes, next.as_ref())?;
        let sealed = self.report.torn.is_some() && !mutant!(TornSegmentReused);
        self.current = Some(Current { header, file, end, sealed });
        Ok(())
    }

    /// Takes over every batch of a segment; gives the end of the last.
    fn scan(
        &mut self,
        header: &SegmentHeader,
        file: &Named<F::File>,
        bytes: &mut [u8],
        next: Option<&SegmentHeader>,
    ) -> Result<u64, OpenError> {
        let proven = self.proven();
        let sealed = next.map(|next| next.previous_end);
        let contents = self.contents.as_mut().expect("made with the hard state");
        let mut last = None;
        let (sequence, hash) = self.chain;
        let mut at = Position { offset: header.body(), sequence, hash, last: contents.last() };
        while sealed.is_none_or(|sealed| at.offset < sealed) {
            let refused = |wound: Wound| {
                OpenError::Damaged(Damage {
                    file: file.path.clone(),
                    offset: at.offset,
                    kind: wound.kind,
                    first: wound.first.or_else(|| Some(at.last.index.next())),
                    last: wound.last,
                })
            };
            match scan::next(bytes, header, &at, sealed, proven) {
                Found::Batch { header: batch, extent, hash } => {
                    let start = usize::try_from(at.offset).expect("inside the segment's bytes");
                    let end = usize::try_from(at.offset + extent).expect("inside the bytes");
                    let range = start..end;
                    let wound = |kind| Wound {
                        kind,
                        first: Some(batch.first.index).filter(|&first| first > Index::ZERO),
                        last: Some(batch.last.index).filter(|&last| last > Index::ZERO),
                    };
                    contents
                        .apply(&batch, &bytes[range.clone()])
                        .map_err(|kind| refused(wound(kind)))?;
                    last = Some((at.offset, range));
                    at = Position {
                        offset: at.offset + extent,
                        sequence: batch.sequence,
                        hash,
                        last: contents.last(),
                    };
                }
                Found::Clean => break,
                Found::Torn { bytes } => {
                    self.report.torn = Some(TornTail {
                        file: file.path.clone(),
                        offset: at.offset,
                        bytes,
                        first: at.last.index.next(),
                    });
                    break;
                }
                Found::Damaged(wound) => return Err(refused(wound)),
            }
        }
        self.chain = (at.sequence, at.hash);
        // What a later segment follows was durable before that segment had a name.
        self.last_batch = last.filter(|_| next.is_none()).map(|(offset, range)| {
            let mut batch = bytes[range].to_vec();
            Whitener::new(header.id).apply(&mut batch, offset);
            (offset, batch)
        });
        if let Some(next) = next
            && (next.previous_end, next.previous_batch, next.previous_hash)
                != (at.offset, at.sequence, at.hash)
        {
            let mut damage = damage(file.path.clone(), DamageKind::Chain);
            damage.offset = at.offset;
            damage.first = Some(at.last.index.next());
            return Err(OpenError::Damaged(damage));
        }
        Ok(at.offset)
    }

    /// What is known to have been durable from outside the log.
    fn proven(&self) -> Proven {
        let (_, record) = self.chosen.expect("the hard state was chosen");
        let base = self.base.as_ref().map_or(0, |base| base.numbers[2]);
        let index = self.options.proven;
        let index = if index > self.base_id().index { index } else { Index::ZERO };
        Proven { batch: record.durable_batch.max(base), index }
    }

    /// Refuses a log that ends before what was durable.
    fn check_end(&mut self) -> Result<(), OpenError> {
        let proven = self.proven();
        let last = self.contents.as_ref().map_or(EntryId::ZERO, |contents| contents.last());
        if self.chain.0 < proven.batch || last.index < proven.index {
            let current = self.current.as_ref();
            let (file, offset) = match current {
                Some(current) => (current.file.path.clone(), current.end),
                None => (self.directory().path(&segment_name(1)), 0),
            };
            let first = Some(last.index.next());
            let damage = damage(file, DamageKind::Missing);
            return Err(OpenError::Damaged(Damage { offset, first, ..damage }));
        }
        self.plan_finish()
    }
}
