//go:build !wasip1

package millstreamtest

import (
	"bytes"
	"errors"
	"slices"
	"sort"

	"millstream.dev/go/internal/host"
)

// How many entries a cursor returns at once; few, so that tests turn pages.
const pageEntries = 3

// How many punctuations a processor may have, as in the host.
const punctuationsMax = 1000

// standIn is the host of a processor under test.
type standIn struct {
	children  []string
	stores    map[string]*store
	forwarded []forwardCall
	schedules []schedule
	nextID    uint32
	// The batch that is processed.
	input host.Batch
	// The bytes of keys and values that came with what was forwarded of it.
	copiedBytes int
	// The stream time at each record of the batch.
	streamTimes   []int64
	streamTime    int64
	wallClockTime int64
	inPunctuation bool
	commits       int
	calls         int
	logged        []string
}

type forwardCall struct {
	child int
	batch host.Batch
}

type schedule struct {
	id       uint32
	kind     uint32
	interval int64
	due      int64
}

// The kinds of punctuations, as in wit/types.wit.
const (
	streamTime uint32 = iota
	wallClockTime
)

func (h *standIn) now(kind uint32) int64 {
	if kind == streamTime {
		return h.streamTime
	}
	return h.wallClockTime
}

// due are the punctuations that are due, each once, and moves them on; missed intervals are skipped.
func (h *standIn) due(kind uint32) []uint32 {
	var ids []uint32
	now := h.now(kind)
	for index := range h.schedules {
		s := &h.schedules[index]
		if s.kind == kind && now >= 0 && s.due <= now {
			ids = append(ids, s.id)
			s.due += ((now-s.due)/s.interval + 1) * s.interval
		}
	}
	return ids
}

func (h *standIn) Forward(child int, batch *host.Batch, rows []uint32) {
	h.calls++
	if len(rows) != 0 && len(rows) != len(batch.Timestamps) {
		panic("there must be as many rows as records")
	}
	h.copiedBytes += len(batch.Keys) + len(batch.Values)
	h.forwarded = append(h.forwarded, forwardCall{child, h.whole(batch, rows)})
}

// whole is what is forwarded, with the keys and values that are those of rows of the input.
func (h *standIn) whole(batch *host.Batch, rows []uint32) host.Batch {
	whole := cloned(batch)
	if len(batch.Nulls) == 0 {
		return whole
	}
	whole.Keys, whole.Values = []byte{}, []byte{}
	for index, bits := range batch.Nulls {
		key, value := partAt(batch.Keys, batch.KeyEnds, index), partAt(batch.Values, batch.ValueEnds, index)
		ofRow := bits & (host.KeyOfRow | host.ValueOfRow)
		if ofRow>>2&bits != 0 || bits >= 16 || (ofRow != 0 && len(rows) == 0) ||
			(ofRow&host.KeyOfRow != 0 && len(key) > 0) || (ofRow&host.ValueOfRow != 0 && len(value) > 0) {
			panic("what is forwarded can't be read")
		}
		if ofRow&host.KeyOfRow != 0 {
			key = partAt(h.input.Keys, h.input.KeyEnds, int(rows[index]))
			bits |= h.input.Nulls[rows[index]] & host.NullKey
		}
		if ofRow&host.ValueOfRow != 0 {
			value = partAt(h.input.Values, h.input.ValueEnds, int(rows[index]))
			bits |= h.input.Nulls[rows[index]] & host.NullValue
		}
		whole.Keys, whole.Values = append(whole.Keys, key...), append(whole.Values, value...)
		whole.KeyEnds[index], whole.ValueEnds[index] = uint32(len(whole.Keys)), uint32(len(whole.Values))
		whole.Nulls[index] = bits &^ ofRow
	}
	return whole
}

// partAt is the key or the value at an index of its column.
func partAt(column []byte, ends []uint32, index int) []byte {
	if index == 0 {
		return column[:ends[0]]
	}
	return column[ends[index-1]:ends[index]]
}

func cloned(batch *host.Batch) host.Batch {
	return host.Batch{
		Keys: slices.Clone(batch.Keys), KeyEnds: slices.Clone(batch.KeyEnds),
		Values: slices.Clone(batch.Values), ValueEnds: slices.Clone(batch.ValueEnds),
		Timestamps: slices.Clone(batch.Timestamps), Nulls: slices.Clone(batch.Nulls), Headers: slices.Clone(batch.Headers),
	}
}

func (h *standIn) Child(name string) (index uint32, found bool) {
	h.calls++
	at := slices.Index(h.children, name)
	return uint32(at), at >= 0
}

func (h *standIn) Schedule(start int64, hasStart bool, intervalMs uint64, kind uint32) (uint32, error) {
	h.calls++
	interval, now := int64(intervalMs), h.now(kind)
	due := now + interval
	switch {
	case interval < 1:
		return 0, errors.New("the interval must be 1 ms or more")
	case len(h.schedules) >= punctuationsMax:
		return 0, errors.New("the processor has too many punctuations")
	case hasStart && start < 0:
		return 0, errors.New("the start must not be negative")
	case hasStart && start < now:
		due = start + ((now-start)/interval+1)*interval
	case hasStart:
		due = start
	case kind == streamTime:
		due = 0
	}
	h.nextID++
	h.schedules = append(h.schedules, schedule{h.nextID, kind, interval, due})
	return h.nextID, nil
}

func (h *standIn) Cancel(id uint32) {
	h.calls++
	h.schedules = slices.DeleteFunc(h.schedules, func(s schedule) bool { return s.id == id })
}

func (h *standIn) StreamTime(row uint32) int64 {
	h.calls++
	if h.inPunctuation || int(row) >= len(h.streamTimes) {
		return h.streamTime
	}
	return h.streamTimes[row]
}

func (h *standIn) WallClockTime() int64 {
	h.calls++
	return h.wallClockTime
}

// Metadata says that records of a test come from partition 0 of a topic `test`, and each batch begins at offset 0.
func (h *standIn) Metadata(row uint32) (host.Metadata, bool) {
	h.calls++
	switch {
	case h.inPunctuation:
		return host.Metadata{Partition: -1, Offset: -1}, true
	case int(row) < len(h.streamTimes):
		return host.Metadata{Topic: "test", Offset: int64(row)}, true
	default:
		return host.Metadata{}, false
	}
}

func (h *standIn) Commit() {
	h.calls++
	h.commits++
}

func (h *standIn) OpenStore(name string) (host.Store, error) {
	h.calls++
	found := h.stores[name]
	if found == nil {
		return nil, errors.New("there is no store `" + name + "`: add it by WithStore")
	}
	return found, nil
}

// store is a store in memory, sorted by keys; one that keeps timestamps.
type store struct {
	host    *standIn
	entries []entry
}

type entry struct {
	key, value []byte
	timestamp  int64
}

// find is where a key is, or would be.
func (s *store) find(key []byte) (int, bool) {
	return sort.Find(len(s.entries), func(index int) int { return bytes.Compare(key, s.entries[index].key) })
}

func (s *store) put(key, value []byte, timestamp int64) {
	index, found := s.find(key)
	switch {
	case value == nil && found:
		s.entries = slices.Delete(s.entries, index, index+1)
	case value == nil:
	case found:
		s.entries[index] = entry{s.entries[index].key, copyOf(value), timestamp}
	default:
		s.entries = slices.Insert(s.entries, index, entry{copyOf(key), copyOf(value), timestamp})
	}
}

// copyOf is a copy that is not nil.
func copyOf(of []byte) []byte { return append([]byte{}, of...) }

func (s *store) Get(key []byte) (value []byte, timestamp int64, found bool) {
	s.host.calls++
	index, found := s.find(key)
	if !found {
		return nil, -1, false
	}
	return copyOf(s.entries[index].value), s.entries[index].timestamp, true
}

func (s *store) GetMany(keys []byte, keyEnds []uint32) host.Values {
	s.host.calls++
	values := host.Entries{Values: []byte{}}
	start := uint32(0)
	for _, end := range keyEnds {
		if index, found := s.find(keys[start:end]); found {
			values.Push(nil, s.entries[index].value, s.entries[index].timestamp)
		} else {
			values.Push(nil, nil, -1)
		}
		start = end
	}
	return host.Values{
		Values: values.Values, ValueEnds: values.ValueEnds, Nulls: values.Nulls, Timestamps: values.Timestamps,
	}
}

func (s *store) PutMany(entries *host.Entries) {
	s.host.calls++
	key, value := uint32(0), uint32(0)
	for index, keyEnd := range entries.KeyEnds {
		valueEnd := entries.ValueEnds[index]
		if entries.Nulls[index] != 0 {
			s.put(entries.Keys[key:keyEnd], nil, 0)
		} else {
			s.put(entries.Keys[key:keyEnd], copyOf(entries.Values[value:valueEnd]), entries.Timestamps[index])
		}
		key, value = keyEnd, valueEnd
	}
}

func (s *store) Range(lowest, highest []byte, descending bool) host.Cursor {
	s.host.calls++
	return &cursor{store: s, lowest: lowest, highest: highest, descending: descending}
}

func (s *store) Prefix(prefix []byte, descending bool) host.Cursor {
	s.host.calls++
	return &cursor{store: s, lowest: prefix, prefix: prefix, descending: descending}
}

func (s *store) ApproximateEntries() uint64 {
	s.host.calls++
	return uint64(len(s.entries))
}

// cursor walks over a store as it is at each page.
type cursor struct {
	store                   *store
	lowest, highest, prefix []byte
	descending              bool
	last                    []byte
}

func (c *cursor) contains(key []byte) bool {
	switch {
	case c.lowest != nil && bytes.Compare(key, c.lowest) < 0:
		return false
	case c.highest != nil && bytes.Compare(key, c.highest) > 0:
		return false
	case !bytes.HasPrefix(key, c.prefix):
		return false
	case c.last == nil:
		return true
	case c.descending:
		return bytes.Compare(key, c.last) < 0
	default:
		return bytes.Compare(key, c.last) > 0
	}
}

func (c *cursor) Next(entriesMax uint32) host.Entries {
	c.store.host.calls++
	wanted := pageEntries
	if entriesMax > 0 {
		wanted = min(wanted, int(entriesMax))
	}
	page := host.Entries{Keys: []byte{}, Values: []byte{}}
	add := func(e entry) bool {
		if c.contains(e.key) {
			page.Push(e.key, e.value, e.timestamp)
			c.last = e.key
		}
		return len(page.KeyEnds) < wanted
	}
	if c.descending {
		for index := len(c.store.entries) - 1; index >= 0 && add(c.store.entries[index]); index-- {
		}
		return page
	}
	// What is added changes c.last, so the bounds move along with the walk.
	for _, e := range c.store.entries {
		if !add(e) {
			break
		}
	}
	return page
}

func (c *cursor) Drop() {}
