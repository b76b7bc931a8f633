//! What a call forwards, collected in columns until it is handed to the host.

use crate::columns::OwnedColumns;
use crate::host;
use crate::record::Record;

/// Past this many bytes what has been forwarded is handed over between two records, so that the guest's memory stays
/// small.
const HAND_OVER_BYTES: usize = 256 * 1024;

/// Records for one target, in the order they were forwarded.
#[derive(Debug, Default)]
struct Segment {
    child: Option<u32>,
    columns: OwnedColumns,
    /// For each record the row it descends from; empty in a punctuation.
    rows: Vec<u8>,
}

/// What a call has forwarded so far.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// The first `used` are filled; the memory of the others waits for them.
    segments: Vec<Segment>,
    used: usize,
    /// Whether the order between children must be kept: when there is one record, or none.
    sequenced: bool,
}

impl Output {
    /// Begins a call. With many records nobody can see the order between children (see `wit/context.wit`), so the
    /// records for each child are collected by themselves.
    pub(crate) fn begin(&mut self, sequenced: bool) {
        self.sequenced = sequenced;
    }

    /// Appends a record that descends from `row`.
    #[inline]
    pub(crate) fn push(&mut self, child: Option<u32>, record: &Record<'_>, row: Option<u32>) {
        let segment = self.segment(child);
        segment.columns.push(record, record.parts_of_row(row));
        if let Some(row) = row {
            segment.rows.extend_from_slice(&row.to_le_bytes());
        }
    }

    #[inline]
    fn segment(&mut self, child: Option<u32>) -> &mut Segment {
        let found = match self.segments[..self.used].last() {
            Some(last) if last.child == child => Some(self.used - 1),
            _ if self.sequenced => None,
            _ => self.segments[..self.used].iter().position(|segment| segment.child == child),
        };
        let index = found.unwrap_or_else(|| self.open(child));
        &mut self.segments[index]
    }

    #[cold]
    fn open(&mut self, child: Option<u32>) -> usize {
        // A child that gets some records by name and others with everybody must get them in their order.
        let mixes = |segment: &Segment| segment.child.is_none() != child.is_none();
        self.sequenced |= self.segments[..self.used].iter().any(mixes);
        if self.used == self.segments.len() {
            self.segments.push(Segment::default());
        }
        self.segments[self.used].child = child;
        self.used += 1;
        self.used - 1
    }

    /// Takes back the records that descend from `row`, the last one.
    pub(crate) fn take_back(&mut self, row: u32) {
        for segment in &mut self.segments[..self.used] {
            let rows = segment.rows.as_chunks::<4>().0;
            let others = rows.iter().rposition(|other| u32::from_le_bytes(*other) != row).map_or(0, |last| last + 1);
            segment.columns.truncate(others);
            segment.rows.truncate(others * 4);
        }
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        for segment in &mut self.segments[..self.used] {
            segment.columns.clear();
            segment.rows.clear();
        }
        self.used = 0;
    }

    /// Hands everything to the host.
    pub(crate) fn hand_over(&mut self) {
        for segment in &self.segments[..self.used] {
            if segment.columns.len() > 0 {
                host::forward(segment.child, &segment.columns, &segment.rows);
            }
        }
        self.clear();
    }

    /// Hands everything to the host if it has become much. Called between two records.
    #[inline]
    pub(crate) fn hand_over_when_large(&mut self) {
        let bytes: usize = self.segments[..self.used].iter().map(|segment| segment.columns.byte_len()).sum();
        if bytes > HAND_OVER_BYTES {
            self.hand_over();
        }
    }
}
