//! Records that a call forwards. Keys and values that are those of the call's input are not copied before it is known where they go: a
//! batch that is forwarded untouched is never copied at all.

use std::ops::Range;

use super::{ColumnsError, PackedColumns, Record, RecordBatch};
use crate::limits;

/// What a record takes from a record of the call's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Inherited {
    /// The record's index in the input.
    index: u32,
    /// [`PackedColumns::KEY_IS_OF_ROW`] and [`PackedColumns::VALUE_IS_OF_ROW`].
    parts: u8,
}

/// More bytes are forwarded than is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyBytes;

/// Records whose keys and values may be those of the call's input.
#[derive(Clone, Debug, Default)]
pub struct DerivedBatch {
    /// The records; what they take from the input is empty here.
    records: RecordBatch,
    /// For each record what it takes from the input; empty while none takes anything.
    inherited: Vec<Inherited>,
}

impl DerivedBatch {
    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The bytes held; those of the input don't count.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.records.byte_len()
    }

    /// Removes all records and keeps the memory.
    pub fn clear(&mut self) {
        self.records.clear();
        self.inherited.clear();
    }

    /// Appends a record that takes nothing from the input; see [`RecordBatch::push`].
    pub fn push(&mut self, record: Record<'_>, row: u32) {
        self.records.push(record, row);
        self.end_own();
    }

    /// Appends the records `range` of `input`, the batch that the call was given, as they are.
    pub fn push_range_of_input(&mut self, input: &RecordBatch, range: Range<usize>) {
        self.inherited.resize(self.len(), Inherited::default());
        self.records.push_range_without_bytes(input, range.clone());
        let untouched = |index| Inherited { index: index as u32, parts: PackedColumns::IS_OF_ROW };
        self.inherited.extend(range.map(untouched));
    }

    fn end_own(&mut self) {
        if !self.inherited.is_empty() {
            self.inherited.resize(self.records.len(), Inherited::default());
        }
    }

    /// Appends records given as columns by a plugin; all or nothing.
    ///
    /// # Errors
    ///
    /// [`ColumnsError`] when the columns disagree with each other, or with the input.
    pub fn push_columns(&mut self, columns: &PackedColumns<'_>) -> Result<(), ColumnsError> {
        let first = self.len();
        self.records.push_columns(columns)?;
        if !columns.inherits() {
            self.end_own();
            return Ok(());
        }
        self.inherited.resize(first, Inherited::default());
        let parts = columns.nulls.iter().map(|bits| bits & PackedColumns::IS_OF_ROW);
        let inherited = parts.zip(0..).map(|(parts, place)| Inherited { index: columns.input_index(place), parts });
        self.inherited.extend(inherited);
        Ok(())
    }

    /// The records with all that they take from `input`, the batch that the call was given. Where something must be put together for that,
    /// it lies in `memory`.
    ///
    /// # Errors
    ///
    /// When that is more than one call may forward: a record of the input may be forwarded any number of times.
    pub fn resolve<'a>(
        &'a self,
        input: &'a RecordBatch,
        memory: &'a mut RecordBatch,
    ) -> Result<&'a RecordBatch, TooManyBytes> {
        if self.inherited.is_empty() {
            return Ok(&self.records);
        }
        memory.clear();
        let mut index = 0;
        while index < self.len() {
            let first = self.inherited[index].index as usize;
            match self.untouched_from(index, input) {
                0 => {
                    memory.push(self.record(index, input), self.records.row(index));
                    index += 1;
                }
                all if all == input.len() && all == self.len() => return Ok(input),
                count => {
                    memory.push_range(input, first..first + count);
                    index += count;
                }
            }
            if memory.byte_len() > limits::FORWARD_BYTES_MAX {
                return Err(TooManyBytes);
            }
        }
        Ok(memory)
    }

    /// Appends the record at `index` to `batch`, with all that it takes from `input`.
    pub fn resolve_one(&self, index: usize, input: &RecordBatch, batch: &mut RecordBatch) {
        batch.push(self.record(index, input), self.records.row(index));
    }

    fn record<'a>(&'a self, index: usize, input: &'a RecordBatch) -> Record<'a> {
        let mut record = self.records.record(index);
        if let Some(inherited) = self.inherited.get(index) {
            let place = inherited.index as usize;
            if inherited.parts & PackedColumns::KEY_IS_OF_ROW != 0 {
                record.key = input.key(place);
            }
            if inherited.parts & PackedColumns::VALUE_IS_OF_ROW != 0 {
                record.value = input.value(place);
            }
        }
        record
    }

    /// How many records from `start` on are neighbours in the input too, in this order, and untouched.
    fn untouched_from(&self, start: usize, input: &RecordBatch) -> usize {
        let first = self.inherited[start].index;
        let has_headers = self.records.has_headers() || input.has_headers();
        let neighbours = self.inherited[start..].iter().zip(start..).zip(first..);
        let untouched = neighbours.take_while(|((inherited, index), place)| {
            let at = *place as usize;
            **inherited == Inherited { index: *place, parts: PackedColumns::IS_OF_ROW }
                && self.records.timestamp(*index) == input.timestamp(at)
                && (!has_headers || self.records.headers(*index) == input.headers(at))
        });
        untouched.count()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Headers, pack_header};
    use super::*;

    const BOTH: u8 = PackedColumns::IS_OF_ROW;

    fn input() -> RecordBatch {
        let mut packed = Vec::new();
        pack_header(&mut packed, b"trace", Some(b"1"));
        let mut batch = RecordBatch::new();
        for (row, (key, value)) in
            [(Some("a"), Some("one")), (None, Some("")), (Some("c"), None), (Some(""), Some("four"))].iter().enumerate()
        {
            let headers = if row == 3 { Headers::from_packed(&packed) } else { Headers::EMPTY };
            let (key, value) = (key.map(str::as_bytes), value.map(str::as_bytes));
            batch.push(Record { key, value, timestamp: row as i64, headers }, 10 + row as u32);
        }
        batch
    }

    /// One record of columns: which input it descends from, its bits, own key and value, timestamp.
    fn forward(derived: &mut DerivedBatch, records: &[(u32, u8, &str, &str, i64)]) -> Result<(), ColumnsError> {
        let (mut keys, mut key_ends, mut values, mut value_ends) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut timestamps, mut nulls, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        for (row, bits, key, value, timestamp) in records {
            keys.extend_from_slice(key.as_bytes());
            key_ends.extend((keys.len() as u32).to_le_bytes());
            values.extend_from_slice(value.as_bytes());
            value_ends.extend((values.len() as u32).to_le_bytes());
            timestamps.extend(timestamp.to_le_bytes());
            nulls.push(*bits);
            rows.extend(row.to_le_bytes());
        }
        derived.push_columns(&PackedColumns {
            keys: &keys,
            key_ends: &key_ends,
            values: &values,
            value_ends: &value_ends,
            timestamps: &timestamps,
            nulls: &nulls,
            headers: &[],
            rows: &rows,
            parents: &[10, 11, 12, 13],
        })
    }

    #[test]
    fn an_untouched_batch_is_the_input_itself() {
        let mut input = RecordBatch::new();
        input.push_range(&super::tests::input(), 0..3);
        let mut derived = DerivedBatch::default();
        forward(&mut derived, &[(0, BOTH, "", "", 0), (1, BOTH, "", "", 1), (2, BOTH, "", "", 2)]).unwrap();
        let mut memory = RecordBatch::new();
        assert!(std::ptr::eq(derived.resolve(&input, &mut memory).unwrap(), &raw const input));
    }

    #[test]
    fn ranges_of_the_input_keep_all_they_have() {
        let input = input();
        let mut memory = RecordBatch::new();
        let mut derived = DerivedBatch::default();
        derived.push_range_of_input(&input, 0..2);
        derived.push_range_of_input(&input, 2..4);
        assert_eq!(derived.byte_len(), input.headers(3).packed().len(), "no key and no value is held twice");
        assert!(std::ptr::eq(derived.resolve(&input, &mut memory).unwrap(), &raw const input));

        derived.clear();
        let own = Record { key: None, value: Some(b"own"), timestamp: 5, headers: Headers::EMPTY };
        derived.push(own, 12);
        derived.push_range_of_input(&input, 3..4);
        derived.push_range_of_input(&input, 1..1);
        derived.push_range_of_input(&input, 1..3);
        derived.push(own, 12);
        let resolved = derived.resolve(&input, &mut memory).unwrap();
        let expected = [own, input.record(3), input.record(1), input.record(2), own];
        assert_eq!(resolved.iter().collect::<Vec<_>>(), expected);
        assert_eq!((0..5).map(|index| resolved.row(index)).collect::<Vec<_>>(), [12, 13, 11, 12, 12]);
    }

    #[test]
    fn what_is_taken_from_the_input_comes_back_in_any_mix() {
        let input = input();
        let mut derived = DerivedBatch::default();
        let own = PackedColumns::VALUE_IS_OF_ROW;
        forward(&mut derived, &[(1, BOTH, "", "", 1), (2, BOTH, "", "", 2), (3, BOTH, "", "", 3)]).unwrap();
        forward(&mut derived, &[(0, own, "new", "", 7), (0, BOTH, "", "", 9), (3, 0, "k", "v", 3)]).unwrap();
        let mut memory = RecordBatch::new();
        let resolved = derived.resolve(&input, &mut memory).unwrap();
        let mut expected = RecordBatch::new();
        let mut expect = |key: Option<&str>, value: Option<&str>, timestamp, row| {
            let (key, value) = (key.map(str::as_bytes), value.map(str::as_bytes));
            expected.push(Record { key, value, timestamp, headers: Headers::EMPTY }, row);
        };
        expect(None, Some(""), 1, 11);
        expect(Some("c"), None, 2, 12);
        // The headers were not forwarded, so they are gone.
        expect(Some(""), Some("four"), 3, 13);
        expect(Some("new"), Some("one"), 7, 10);
        expect(Some("a"), Some("one"), 9, 10);
        expect(Some("k"), Some("v"), 3, 13);
        assert_eq!(resolved.iter().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
        assert_eq!((0..6).map(|index| resolved.row(index)).collect::<Vec<_>>(), [11, 12, 13, 10, 10, 13]);
        for index in 0..derived.len() {
            let mut one = RecordBatch::new();
            derived.resolve_one(index, &input, &mut one);
            assert_eq!(one.record(0), expected.record(index));
        }
    }

    #[test]
    fn columns_that_take_what_is_not_there_are_refused() {
        let mut derived = DerivedBatch::default();
        let key = PackedColumns::KEY_IS_OF_ROW;
        for wrong in [(0, key, "k", "", 0), (0, key | 1, "", "", 0), (4, BOTH, "", "", 0), (0, 16, "", "", 0)] {
            assert!(forward(&mut derived, &[wrong]).is_err(), "{wrong:?}");
        }
        let time = 0_i64.to_le_bytes();
        let end = 0_u32.to_le_bytes();
        let in_a_punctuation = PackedColumns {
            key_ends: &end,
            value_ends: &end,
            timestamps: &time,
            nulls: &[BOTH],
            ..PackedColumns::default()
        };
        assert!(derived.push_columns(&in_a_punctuation).is_err());
        assert!(derived.is_empty());
    }

    #[test]
    fn a_record_forwarded_again_and_again_is_bounded() {
        let mut input = RecordBatch::new();
        let value = vec![0; 32 * 1024 * 1024];
        input.push(Record { key: None, value: Some(&value), timestamp: 0, headers: Headers::EMPTY }, 0);
        let mut derived = DerivedBatch::default();
        let again = [(0, BOTH, "", "", 0); 9];
        forward(&mut derived, &again[..8]).unwrap();
        assert_eq!(derived.resolve(&input, &mut RecordBatch::new()).map(RecordBatch::len), Ok(8));
        forward(&mut derived, &again[..1]).unwrap();
        assert_eq!(derived.resolve(&input, &mut RecordBatch::new()), Err(TooManyBytes));
    }
}
