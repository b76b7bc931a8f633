package millstream

import (
	"encoding/binary"

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

func (s *segment) bytes() int {
	return len(s.columns.Keys) + len(s.columns.Values) + len(s.columns.Headers)
}

func (s *segment) push(record *Record) {
	c := &s.columns
	c.Keys = append(c.Keys, record.Key...)
	c.KeyEnds = append(c.KeyEnds, uint32(len(c.Keys)))
	c.Values = append(c.Values, record.Value...)
	c.ValueEnds = append(c.ValueEnds, uint32(len(c.Values)))
	if record.Key == nil || record.Value == nil || len(c.Nulls) > 0 {
		s.pushNulls(record)
	}
	if len(record.Headers.packed) > 0 {
		c.Headers = appendHeaders(c.Headers, s.len(), record.Headers)
	}
	c.Timestamps = append(c.Timestamps, record.Timestamp)
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

func (s *segment) pushNulls(record *Record) {
	c := &s.columns
	for len(c.Nulls) < len(c.Timestamps) {
		c.Nulls = append(c.Nulls, 0)
	}
	nulls := byte(0)
	if record.Key == nil {
		nulls |= host.NullKey
	}
	if record.Value == nil {
		nulls |= host.NullValue
	}
	c.Nulls = append(c.Nulls, nulls)
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
}

// noRow is the row of what is forwarded in a punctuation.
const noRow = ^uint32(0)

func (o *output) push(child int, record *Record, row uint32) {
	if o.last >= o.used || o.segments[o.last].child != child {
		o.last = o.find(child)
	}
	s := &o.segments[o.last]
	s.push(record)
	if row != noRow {
		s.rows = append(s.rows, row)
	}
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
	o.used, o.last = 0, 0
}

func (o *output) handOver(context host.Context) {
	for index := range o.used {
		if s := &o.segments[index]; s.len() > 0 {
			context.Forward(s.child, &s.columns, s.rows)
		}
	}
	o.clear()
}

func (o *output) isLarge() bool {
	bytes := 0
	for index := range o.used {
		bytes += o.segments[index].bytes()
	}
	return bytes > handOverBytes
}
