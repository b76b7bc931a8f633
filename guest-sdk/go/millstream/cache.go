package millstream

import (
	"bytes"
	"math/bits"
	"unsafe"

	"millstream.dev/go/internal/host"
)

// What is known of a key's value.
type known uint32

const (
	// It has not been read.
	knownNothing known = iota
	// There is no value.
	knownAbsent
	// The value is there.
	knownPresent
	// A bit beside the others: it differs from the host's, or may.
	isDirty known = 4
)

// state is the value of a key, as far as it is known. It has four fields: what is larger Go keeps in memory, and copies by a
// call into the Wasm runtime.
type state struct {
	// Where the value is: where the host put it, or in `written`; both stay for the time of the call.
	data      *byte
	length    uint32
	known     known
	timestamp int64
}

// empty is where a value without bytes is.
var empty = new(byte)

func presentState(value []byte, timestamp int64) state {
	data := unsafe.SliceData(value)
	if len(value) == 0 {
		data = empty
	}
	return state{data: data, length: uint32(len(value)), known: knownPresent, timestamp: timestamp}
}

func (s *state) value() []byte {
	if s.known&knownPresent == 0 {
		return nil
	}
	return unsafe.Slice(s.data, s.length)
}

func (s *state) isDirty() bool { return s.known&isDirty != 0 }

type cacheEntry struct {
	key      []byte
	hash     uint32
	slot     uint32
	isWanted bool
	state    state
}

// replaced is what the current record replaced.
type replaced struct {
	entry uint32
	state state
}

// cache is what a call has read and written of a store.
//
// Invariants: an entry that is dirty differs from the host's (or may); one that is clean and known equals it. The journal
// holds what the current record replaced, oldest first, so that undoing it backwards gives the state before the record.
type cache struct {
	handle host.Store
	// Open addressing: the index of an entry plus one, or 0. Its length is a power of two.
	table   []uint32
	entries []cacheEntry
	// The entry that was looked for last.
	last uint32
	// The current record's key, and its entry, if it has been read ahead: for that the table isn't asked.
	recordKey   *byte
	recordEntry uint32
	// The entry of each row's key, if they have been read ahead.
	rows []uint32
	// Keys and values that were written here. When one of them grows it moves, and the old memory stays as long as it is
	// seen.
	keys    []byte
	written []byte
	// Entries that are to be read.
	wanted []uint32
	// Entries that are, or were, dirty.
	dirty   []uint32
	journal []replaced
	// Memory for what goes to the host.
	columns host.Entries
}

func (c *cache) beginRecord() {
	c.journal = c.journal[:0]
	c.recordKey = nil
}

// beginRow begins the record at a row, whose key is given.
func (c *cache) beginRow(row uint32, key []byte) {
	c.journal = c.journal[:0]
	c.recordKey = nil
	if int(row) < len(c.rows) && len(key) > 0 {
		c.recordKey, c.recordEntry = unsafe.SliceData(key), c.rows[row]
	}
}

func hashOf(key []byte) uint32 {
	rest, data := len(key), unsafe.Pointer(unsafe.SliceData(key))
	hash := uint64(rest) * 0x9e3779b97f4a7c15
	for rest >= 8 {
		hash = bits.RotateLeft64(hash^*(*uint64)(data), 29) * 0xbf58476d1ce4e5b9
		rest, data = rest-8, unsafe.Add(data, 8)
	}
	word := uint64(0)
	for at := range rest {
		word = word<<8 | uint64(*(*byte)(unsafe.Add(data, at)))
	}
	hash = (hash ^ word) * 0x94d049bb133111eb
	return uint32(hash>>32) ^ uint32(hash)
}

// entry finds the entry of a key, or makes one of which nothing is known.
func (c *cache) entry(key []byte) *cacheEntry {
	if c.recordKey != nil && unsafe.SliceData(key) == c.recordKey {
		if entry := &c.entries[c.recordEntry]; len(entry.key) == len(key) {
			c.last = c.recordEntry
			return entry
		}
	}
	if len(c.table) < 2*(len(c.entries)+1) {
		c.grow()
	}
	hash := hashOf(key)
	mask := uint32(len(c.table) - 1)
	slot := hash & mask
	for index := c.table[slot]; index != 0; index = c.table[slot] {
		entry := &c.entries[index-1]
		if entry.hash == hash && bytes.Equal(entry.key, key) {
			c.last = index - 1
			return entry
		}
		slot = (slot + 1) & mask
	}
	return c.add(key, hash, slot)
}

func (c *cache) add(key []byte, hash, slot uint32) *cacheEntry {
	start, length := len(c.keys), len(c.entries)
	c.keys = append(c.keys, key...)
	if length < cap(c.entries) {
		c.entries = c.entries[:length+1]
	} else {
		c.entries = append(c.entries, cacheEntry{})
	}
	entry := &c.entries[length]
	entry.key, entry.hash, entry.slot, entry.isWanted = c.keys[start:len(c.keys):len(c.keys)], hash, slot, false
	entry.state = state{}
	c.last = uint32(length)
	c.table[slot] = uint32(length + 1)
	return entry
}

func (c *cache) grow() {
	c.table = make([]uint32, max(16, 2*len(c.table)))
	mask := uint32(len(c.table) - 1)
	for index := range c.entries {
		entry := &c.entries[index]
		slot := entry.hash & mask
		for c.table[slot] != 0 {
			slot = (slot + 1) & mask
		}
		c.table[slot] = uint32(index + 1)
		entry.slot = slot
	}
}

// get is the value of a key and its timestamp; it asks the host if it is not known.
func (c *cache) get(key []byte) (Value, int64) {
	state := &c.entry(key).state
	if state.known == knownNothing {
		value, timestamp, found := c.handle.Get(key)
		*state = stateOf(value, timestamp, found)
	}
	if state.known&knownPresent == 0 {
		return nil, -1
	}
	return state.value(), state.timestamp
}

func stateOf(value []byte, timestamp int64, found bool) state {
	if !found {
		return state{known: knownAbsent, timestamp: -1}
	}
	return presentState(value, timestamp)
}

// put notes a write; a nil value deletes.
func (c *cache) put(key, value []byte, timestamp int64) {
	entry := c.entry(key)
	before := &entry.state
	c.journal = append(c.journal, replaced{c.last, *before})
	if !before.isDirty() {
		c.dirty = append(c.dirty, c.last)
	}
	if value == nil {
		*before = state{known: knownAbsent | isDirty, timestamp: timestamp}
		return
	}
	start := len(c.written)
	c.written = append(c.written, value...)
	*before = presentState(c.written[start:], timestamp)
	before.known |= isDirty
}

// wantRow is want for the key of a row.
func (c *cache) wantRow(row int, key []byte) {
	if row == 0 {
		c.rows = c.rows[:0]
	}
	c.want(key)
	c.rows = append(c.rows, c.last)
}

// want notes that the value of a key is to be read by readWanted, if it is not known.
func (c *cache) want(key []byte) {
	entry := c.entry(key)
	if entry.state.known == knownNothing && !entry.isWanted {
		entry.isWanted = true
		c.wanted = append(c.wanted, c.last)
	}
}

// readWanted reads what is wanted in one call.
func (c *cache) readWanted() {
	found := c.readMany(c.wanted)
	for position, index := range c.wanted {
		entry := &c.entries[index]
		entry.state, entry.isWanted = found.state(position), false
	}
	c.wanted = c.wanted[:0]
}

// found is what readMany has found.
type found host.Values

// state is what is known of the entry at a position.
func (f *found) state(position int) state {
	if len(f.Nulls) > 0 && f.Nulls[position] != 0 {
		return state{known: knownAbsent, timestamp: -1}
	}
	start := uint32(0)
	if position > 0 {
		start = f.ValueEnds[position-1]
	}
	return presentState(f.Values[start:f.ValueEnds[position]], f.Timestamps[position])
}

// readMany reads entries from the host.
func (c *cache) readMany(wanted []uint32) found {
	if len(wanted) == 0 {
		return found{}
	}
	c.columns.Reset()
	for _, index := range wanted {
		c.columns.PushKey(c.entries[index].key)
	}
	return found(c.handle.GetMany(c.columns.Keys, c.columns.KeyEnds))
}

// writeBack gives all writes to the host. The current record may go on, and may still be taken back.
func (c *cache) writeBack() {
	if len(c.dirty) == 0 {
		return
	}
	c.learnReplaced()
	c.columns.Reset()
	for _, index := range c.dirty {
		entry := &c.entries[index]
		if entry.state.isDirty() {
			c.columns.Push(entry.key, entry.state.value(), max(entry.state.timestamp, 0))
			entry.state.known &^= isDirty
		}
	}
	c.dirty = c.dirty[:0]
	if len(c.columns.KeyEnds) > 0 {
		c.handle.PutMany(&c.columns)
	}
	// What the record replaced is no longer what the host has: undoing makes the entry dirty.
	for index := range c.journal {
		c.journal[index].state.known |= isDirty
	}
}

// learnReplaced reads what the current record replaced without having read it, so that it can be taken back after the
// host has the new value.
func (c *cache) learnReplaced() {
	var positions, wanted []uint32
	for position := range c.journal {
		if c.journal[position].state.known == knownNothing {
			positions = append(positions, uint32(position))
			wanted = append(wanted, c.journal[position].entry)
		}
	}
	found := c.readMany(wanted)
	for index, position := range positions {
		c.journal[position].state = found.state(index)
	}
}

// takeBack undoes what the current record wrote.
func (c *cache) takeBack() {
	for position := len(c.journal) - 1; position >= 0; position-- {
		undone := &c.journal[position]
		c.entries[undone.entry].state = undone.state
		if undone.state.isDirty() {
			c.dirty = append(c.dirty, undone.entry)
		}
	}
	c.journal = c.journal[:0]
}

// Past this many entries memory is given back after the call.
const keptEntriesMax = 16 * 1024

// end ends a call: writes go to the host, and what was read is forgotten, because others may change it.
func (c *cache) end() {
	c.beginRecord()
	c.writeBack()
	if len(c.entries) > keptEntriesMax {
		*c = cache{handle: c.handle}
		return
	}
	for index := range c.entries {
		c.table[c.entries[index].slot] = 0
	}
	c.entries, c.rows, c.recordKey = c.entries[:0], c.rows[:0], nil
	c.keys, c.written = c.keys[:0], c.written[:0]
	c.dirty, c.journal = c.dirty[:0], c.journal[:0]
}
