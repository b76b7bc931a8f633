package millstream

import (
	"encoding/binary"
	"slices"
	"unsafe"

	"millstream.dev/go/internal/host"
)

// Past this many bytes what has been forwarded is handed over between two records, so that memory stays small.
const handOverBytes = 256 * 1024

// segment holds records for one target, in the order in which they were forwarded.
type segment struct {
	child   int
	columns host.Batch
	// For each record the row it descends from; empty in a punctuation.
	rows []uint32
}

func (s *segment) len() int { return len(s.columns.Timestamps) }

// push appends a record that descends from a row, and has of it what ofRow says: host.KeyOfRow, host.ValueOfRow.
func (s *segment) push(record *Record, row uint32, ofRow byte) {
	c := &s.columns
	keys, values, length := len(c.Keys), len(c.Values), len(c.Timestamps)
	nulls := ofRow
	if ofRow&host.KeyOfRow == 0 {
		keys += len(record.Key)
		if record.Key == nil {
			nulls |= host.NullKey
		}
	}
	if ofRow&host.ValueOfRow == 0 {
		values += len(record.Value)
		if record.Value == nil {
			nulls |= host.NullValue
		}
	}
	if keys > cap(c.Keys) || values > cap(c.Values) || length == cap(c.Timestamps) || length == cap(c.KeyEnds) ||
		length == cap(c.ValueEnds) || length >= cap(s.rows) || length >= cap(c.Nulls) {
		s.grow(keys, values, length+1)
	}
	// In place: to append would be a call for each column.
	if keys > len(c.Keys) {
		copyBytes(c.Keys[:keys][len(c.Keys):], record.Key)
		c.Keys = c.Keys[:keys]
	}
	if values > len(c.Values) {
		copyBytes(c.Values[:values][len(c.Values):], record.Value)
		c.Values = c.Values[:values]
	}
	c.KeyEnds = c.KeyEnds[:length+1]
	c.KeyEnds[length] = uint32(keys)
	c.ValueEnds = c.ValueEnds[:length+1]
	c.ValueEnds[length] = uint32(values)
	if nulls != 0 || len(c.Nulls) > 0 {
		if len(c.Nulls) < length {
			s.padNulls()
		}
		c.Nulls = c.Nulls[:length+1]
		c.Nulls[length] = nulls
	}
	if len(record.Headers.packed) > 0 {
		c.Headers = appendHeaders(c.Headers, length, record.Headers)
	}
	c.Timestamps = c.Timestamps[:length+1]
	c.Timestamps[length] = record.Timestamp
	if row != noRow {
		s.rows = s.rows[:length+1]
		s.rows[length] = row
	}
}

// grow makes room for so many bytes and records.
func (s *segment) grow(keys, values, length int) {
	c := &s.columns
	c.Keys = slices.Grow(c.Keys, keys-len(c.Keys))
	c.Values = slices.Grow(c.Values, values-len(c.Values))
	c.KeyEnds = slices.Grow(c.KeyEnds, length-len(c.KeyEnds))
	c.ValueEnds = slices.Grow(c.ValueEnds, length-len(c.ValueEnds))
	c.Timestamps = slices.Grow(c.Timestamps, length-len(c.Timestamps))
	c.Nulls = slices.Grow(c.Nulls, length-len(c.Nulls))
	s.rows = slices.Grow(s.rows, length-len(s.rows))
}

// copyBytes is copy for two of the same length; quicker for up to some hundred bytes, because copy is a call into the Wasm
// runtime.
func copyBytes(to, from []byte) {
	length := len(from)
	at, source := unsafe.Pointer(unsafe.SliceData(to)), unsafe.Pointer(unsafe.SliceData(from))
	switch {
	case length > 256:
		copy(to, from)
	case length >= 8:
		for done := 0; done+8 <= length; done += 8 {
			*(*uint64)(unsafe.Add(at, done)) = *(*uint64)(unsafe.Add(source, done))
		}
		// The last words overlap those before them, here and below.
		*(*uint64)(unsafe.Add(at, length-8)) = *(*uint64)(unsafe.Add(source, length-8))
	case length >= 4:
		*(*uint32)(at) = *(*uint32)(source)
		*(*uint32)(unsafe.Add(at, length-4)) = *(*uint32)(unsafe.Add(source, length-4))
	default:
		for done := range length {
			*(*byte)(unsafe.Add(at, done)) = *(*byte)(unsafe.Add(source, done))
		}
	}
}

// appendHeaders appends the entry of a record to a column of headers, if it has some.
func appendHeaders(column []byte, index int, headers Headers) []byte {
	if len(headers.packed) == 0 {
		return column
	}
	column = binary.LittleEndian.AppendUint32(column, uint32(index))
	column = binary.LittleEndian.AppendUint32(column, uint32(len(headers.packed)))
	return append(column, headers.packed...)
}

// padNulls says of the records so far that nothing of them is null.
func (s *segment) padNulls() {
	for c := &s.columns; len(c.Nulls) < len(c.Timestamps); {
		c.Nulls = append(c.Nulls, 0)
	}
}

// truncate removes the records from length on, and keeps the memory.
func (s *segment) truncate(length int) {
	c := &s.columns
	if length == s.len() {
		return
	}
	keys, values := uint32(0), uint32(0)
	if length > 0 {
		keys, values = c.KeyEnds[length-1], c.ValueEnds[length-1]
	}
	c.Keys, c.Values = c.Keys[:keys], c.Values[:values]
	c.KeyEnds, c.ValueEnds = c.KeyEnds[:length], c.ValueEnds[:length]
	c.Timestamps = c.Timestamps[:length]
	c.Nulls = c.Nulls[:min(length, len(c.Nulls))]
	s.rows = s.rows[:min(length, len(s.rows))]
	kept := 0
	for kept < len(c.Headers) && int(binary.LittleEndian.Uint32(c.Headers[kept:])) < length {
		kept += 8 + int(binary.LittleEndian.Uint32(c.Headers[kept+4:]))
	}
	c.Headers = c.Headers[:kept]
}

// output is what a call has forwarded so far.
type output struct {
	// The first `used` are filled; the memory of the others waits for them.
	segments []segment
	used     int
	// The one that was filled last.
	last int
	// Whether the order between children must be kept: when there is one record, or none. With many records nobody can
	// see it (wit/context.wit), so the records for each child are collected by themselves.
	sequenced bool
	// About how many bytes it holds.
	bytes int
	// The columns of the call's batch; nil outside of one.
	input *host.Batch
}

// noRow is the row of what is forwarded in a punctuation.
const noRow = ^uint32(0)

func (o *output) push(child int, record *Record, row uint32) {
	if o.last >= o.used || o.segments[o.last].child != child {
		o.last = o.find(child)
	}
	ofRow := byte(0)
	if o.input != nil && row != noRow {
		ofRow = partsOfRow(record, o.input, row)
	}
	o.bytes += len(record.Headers.packed)
	if ofRow&host.KeyOfRow == 0 {
		o.bytes += len(record.Key)
	}
	if ofRow&host.ValueOfRow == 0 {
		o.bytes += len(record.Value)
	}
	o.segments[o.last].push(record, row, ofRow)
}

// partsOfRow says what a record still has of a row: host.KeyOfRow, host.ValueOfRow. Those need not be copied. It has a part
// when that is the very bytes of the row, not only equal ones: they don't change during the call; see Record.
func partsOfRow(record *Record, of *host.Batch, row uint32) byte {
	keyStart, valueStart := uint32(0), uint32(0)
	if row > 0 {
		keyStart, valueStart = of.KeyEnds[row-1], of.ValueEnds[row-1]
	}
	parts, nulls := byte(0), byte(0)
	if len(of.Nulls) > 0 {
		nulls = of.Nulls[row]
	}
	if isPlace(record.Key, of.Keys, keyStart, of.KeyEnds[row], nulls&host.NullKey != 0) {
		parts |= host.KeyOfRow
	}
	if isPlace(record.Value, of.Values, valueStart, of.ValueEnds[row], nulls&host.NullValue != 0) {
		parts |= host.ValueOfRow
	}
	return parts
}

// isPlace says whether bytes are those at a place of a column, or both are null, or both empty.
func isPlace(bytes, column []byte, start, end uint32, isNull bool) bool {
	if len(bytes) != int(end-start) || (bytes == nil) != isNull {
		return false
	}
	return start == end || unsafe.Pointer(unsafe.SliceData(bytes)) == unsafe.Add(unsafe.Pointer(unsafe.SliceData(column)), start)
}

// find is the segment for a child; it opens one where there is none.
func (o *output) find(child int) int {
	if !o.sequenced {
		for index := range o.used {
			if o.segments[index].child == child {
				return index
			}
			// A child that gets some records by name and others with everybody must get them in their order.
			if (o.segments[index].child == host.AllChildren) != (child == host.AllChildren) {
				o.sequenced = true
			}
		}
	}
	if o.sequenced && o.used > 0 && o.segments[o.used-1].child == child {
		return o.used - 1
	}
	if o.used == len(o.segments) {
		o.segments = append(o.segments, segment{})
	}
	o.segments[o.used].child = child
	o.used++
	return o.used - 1
}

// takeBack removes the records that descend from the last row.
func (o *output) takeBack(row uint32) {
	for index := range o.used {
		s := &o.segments[index]
		length := len(s.rows)
		for length > 0 && s.rows[length-1] == row {
			length--
		}
		s.truncate(length)
	}
}

// clear drops everything and keeps the memory.
func (o *output) clear() {
	for index := range o.used {
		o.segments[index].truncate(0)
	}
	o.used, o.last, o.bytes = 0, 0, 0
}

func (o *output) handOver(context host.Context) {
	for index := range o.used {
		if s := &o.segments[index]; s.len() > 0 {
			context.Forward(s.child, &s.columns, s.rows)
		}
	}
	o.clear()
}
