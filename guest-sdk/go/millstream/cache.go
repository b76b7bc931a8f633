package millstream

import (
	"bytes"
	"math/bits"

	"millstream.dev/go/internal/host"
)

// What is known of a key's value.
type known uint8

const (
	// It has not been read.
	knownNothing known = iota
	// There is no value.
	knownAbsent
	// The value is there.
	knownPresent
)

// state is the value of a key, as far as it is known.
type state struct {
	// It lies where the host put it, or in `written`; both stay for the time of the call.
	value     []byte
	timestamp int64
	known     known
	// Whether it differs from the host's, or may.
	isDirty bool
}

// empty is a value that is there; slices of nothing may be nil.
var empty = []byte{}

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

func (c *cache) beginRecord() { c.journal = c.journal[:0] }

func hashOf(key []byte) uint32 {
	hash := uint64(len(key)) * 0x9e3779b97f4a7c15
	for len(key) >= 8 {
		word := uint64(key[0]) | uint64(key[1])<<8 | uint64(key[2])<<16 | uint64(key[3])<<24 |
			uint64(key[4])<<32 | uint64(key[5])<<40 | uint64(key[6])<<48 | uint64(key[7])<<56
		hash = bits.RotateLeft64(hash^word, 29) * 0xbf58476d1ce4e5b9
		key = key[8:]
	}
	word := uint64(0)
	for _, b := range key {
		word = word<<8 | uint64(b)
	}
	hash = (hash ^ word) * 0x94d049bb133111eb
	return uint32(hash>>32) ^ uint32(hash)
}

// entry finds the entry of a key, or makes one of which nothing is known.
func (c *cache) entry(key []byte) uint32 {
	if len(c.table) < 2*(len(c.entries)+1) {
		c.grow()
	}
	hash := hashOf(key)
	mask := uint32(len(c.table) - 1)
	slot := hash & mask
	for {
		index := c.table[slot]
		if index == 0 {
			break
		}
		entry := &c.entries[index-1]
		if entry.hash == hash && bytes.Equal(entry.key, key) {
			return index - 1
		}
		slot = (slot + 1) & mask
	}
	start := len(c.keys)
	c.keys = append(c.keys, key...)
	c.entries = append(c.entries, cacheEntry{key: c.keys[start:len(c.keys):len(c.keys)], hash: hash, slot: slot})
	c.table[slot] = uint32(len(c.entries))
	return uint32(len(c.entries) - 1)
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
	state := &c.entries[c.entry(key)].state
	if state.known == knownNothing {
		value, timestamp, found := c.handle.Get(key)
		*state = stateOf(value, timestamp, found)
	}
	if state.known == knownAbsent {
		return nil, -1
	}
	return state.value, state.timestamp
}

func stateOf(value []byte, timestamp int64, found bool) state {
	if !found {
		return state{known: knownAbsent, timestamp: -1}
	}
	return state{known: knownPresent, value: value, timestamp: timestamp}
}

// put notes a write; a nil value deletes.
func (c *cache) put(key, value []byte, timestamp int64) {
	index := c.entry(key)
	written := state{known: knownAbsent, timestamp: timestamp, isDirty: true}
	if value != nil {
		start := len(c.written)
		c.written = append(c.written, value...)
		written.known = knownPresent
		if written.value = c.written[start:len(c.written):len(c.written)]; len(value) == 0 {
			written.value = empty
		}
	}
	state := &c.entries[index].state
	c.journal = append(c.journal, replaced{index, *state})
	if !state.isDirty {
		c.dirty = append(c.dirty, index)
	}
	*state = written
}

// want notes that the value of a key is to be read by readWanted, if it is not known.
func (c *cache) want(key []byte) {
	index := c.entry(key)
	entry := &c.entries[index]
	if entry.state.known == knownNothing && !entry.isWanted {
		entry.isWanted = true
		c.wanted = append(c.wanted, index)
	}
}

// readWanted reads what is wanted in one call.
func (c *cache) readWanted() {
	c.readMany(c.wanted, func(index uint32, state state) {
		c.entries[index].state = state
		c.entries[index].isWanted = false
	})
	c.wanted = c.wanted[:0]
}

// readMany reads entries from the host, and gives what is known of each to take.
func (c *cache) readMany(wanted []uint32, take func(index uint32, state state)) {
	if len(wanted) == 0 {
		return
	}
	c.columns.Reset()
	for _, index := range wanted {
		c.columns.Keys = append(c.columns.Keys, c.entries[index].key...)
		c.columns.KeyEnds = append(c.columns.KeyEnds, uint32(len(c.columns.Keys)))
	}
	found := c.handle.GetMany(c.columns.Keys, c.columns.KeyEnds)
	start := uint32(0)
	for position, index := range wanted {
		end := found.ValueEnds[position]
		isNull := len(found.Nulls) > 0 && found.Nulls[position] != 0
		take(index, stateOf(found.Values[start:end:end], found.Timestamps[position], !isNull))
		start = end
	}
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
		if entry.state.isDirty {
			value := entry.state.value
			if entry.state.known != knownPresent {
				value = nil
			}
			c.columns.Push(entry.key, value, max(entry.state.timestamp, 0))
			entry.state.isDirty = false
		}
	}
	c.dirty = c.dirty[:0]
	if len(c.columns.KeyEnds) > 0 {
		c.handle.PutMany(&c.columns)
	}
	// What the record replaced is no longer what the host has: undoing makes the entry dirty.
	for index := range c.journal {
		c.journal[index].state.isDirty = true
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
	next := 0
	c.readMany(wanted, func(_ uint32, state state) {
		c.journal[positions[next]].state = state
		next++
	})
}

// takeBack undoes what the current record wrote.
func (c *cache) takeBack() {
	for position := len(c.journal) - 1; position >= 0; position-- {
		undone := &c.journal[position]
		c.entries[undone.entry].state = undone.state
		if undone.state.isDirty {
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
	c.entries = c.entries[:0]
	c.keys, c.written = c.keys[:0], c.written[:0]
	c.dirty, c.journal = c.dirty[:0], c.journal[:0]
}
