package millstream

import (
	"encoding/binary"
	"iter"

	"millstream.dev/go/internal/host"
)

// Batch is a batch of records as it came from the host, in packed columns; see wit/types.wit. The columns must not be
// changed; see Record.
type Batch struct {
	columns host.Batch
	// The row whose headers were looked for last, and where its entry in the headers column is, or the next one.
	headersRow, headersAt int
}

// Len is the number of records, at least 1.
func (b *Batch) Len() int { return len(b.columns.Timestamps) }

// Keys are all keys, one after the other; KeyEnds says where each ends.
func (b *Batch) Keys() []byte { return b.columns.Keys }

// KeyEnds says for each record where its key ends in Keys.
func (b *Batch) KeyEnds() []uint32 { return b.columns.KeyEnds }

// Values are all values, one after the other; ValueEnds says where each ends.
func (b *Batch) Values() []byte { return b.columns.Values }

// ValueEnds says for each record where its value ends in Values.
func (b *Batch) ValueEnds() []uint32 { return b.columns.ValueEnds }

// Timestamps has the timestamp of each record.
func (b *Batch) Timestamps() []int64 { return b.columns.Timestamps }

// Record is the record at a row.
func (b *Batch) Record(row int) *Record {
	record := new(Record)
	b.read(record, row)
	return record
}

// key is the bytes of the key at a row; none where it is null.
func (b *Batch) key(row int) []byte {
	start := uint32(0)
	if row > 0 {
		start = b.columns.KeyEnds[row-1]
	}
	return b.columns.Keys[start:b.columns.KeyEnds[row]]
}

// read makes a record the one at a row.
func (b *Batch) read(record *Record, row int) {
	c := &b.columns
	keyStart, valueStart := uint32(0), uint32(0)
	if row > 0 {
		keyStart, valueStart = c.KeyEnds[row-1], c.ValueEnds[row-1]
	}
	keyEnd, valueEnd := c.KeyEnds[row], c.ValueEnds[row]
	record.Key = c.Keys[keyStart:keyEnd:keyEnd]
	record.Value = c.Values[valueStart:valueEnd:valueEnd]
	record.Timestamp = c.Timestamps[row]
	if len(c.Nulls) > 0 {
		if c.Nulls[row]&host.NullKey != 0 {
			record.Key = nil
		}
		if c.Nulls[row]&host.NullValue != 0 {
			record.Value = nil
		}
	}
	record.Headers.packed = nil
	if len(c.Headers) > 0 {
		record.Headers.packed = b.headers(row)
	}
}

// Records walks over the records with their rows. The record is good until the next one.
func (b *Batch) Records() iter.Seq2[int, *Record] {
	return func(yield func(int, *Record) bool) {
		record := new(Record)
		for row := range b.Len() {
			b.read(record, row)
			if !yield(row, record) {
				return
			}
		}
	}
}

// headers finds the headers of a row. Rows ascend as a rule, so it goes on from where it was.
func (b *Batch) headers(row int) []byte {
	packed := b.columns.Headers
	if row < b.headersRow {
		b.headersAt = 0
	}
	b.headersRow = row
	for b.headersAt < len(packed) {
		owner := int(binary.LittleEndian.Uint32(packed[b.headersAt:]))
		start := b.headersAt + 8
		end := start + int(binary.LittleEndian.Uint32(packed[b.headersAt+4:]))
		if owner == row {
			return packed[start:end:end]
		}
		if owner > row {
			break
		}
		b.headersAt = end
	}
	return nil
}
