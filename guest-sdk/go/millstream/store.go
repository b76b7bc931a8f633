package millstream

import (
	"iter"

	"millstream.dev/go/internal/host"
)

// Order is the direction in which a walk over entries goes.
type Order bool

const (
	// Ascending goes from the lowest key to the highest.
	Ascending Order = false
	// Descending goes from the highest key to the lowest.
	Descending Order = true
)

// Entry is an entry of a store.
type Entry struct {
	Key Key
	// Value is nil where there is none.
	Value Value
	// Timestamp is the one kept with the value; -1 in a store that keeps none, and where there is no value.
	Timestamp int64
}

// KeyValueStore is a key-value store of the task, opened by Setup.Store.
//
// Reads see every write that this task made before, and what a record wrote is taken back when its processing fails.
// Keys are ordered by their bytes. Writes carry the timestamp of the record that is processed, unless another is given.
// Every access behaves as if it went to the host at once, but the writes of a batch travel together, and with ReadAhead
// its reads do.
//
// The bytes that a store returns live until the batch is done: copy what is to be kept.
type KeyValueStore struct {
	name      string
	context   *Context
	cache     cache
	readsKeys bool
	readAhead func(record *Record, add func(key []byte))
}

// Name is the store's name.
func (s *KeyValueStore) Name() string { return s.name }

// ReadAhead reads the entries of all records' keys at the beginning of each batch, in one call of the host: for a
// processor that looks up the key of every record. Other keys are read as before. It returns the store.
func (s *KeyValueStore) ReadAhead() *KeyValueStore {
	s.readsKeys = true
	return s
}

// ReadAheadOf is ReadAhead for the keys that choose adds for a record.
func (s *KeyValueStore) ReadAheadOf(choose func(record *Record, add func(key []byte))) *KeyValueStore {
	s.readAhead = choose
	return s
}

// Get is the value of a key, nil if there is none.
func (s *KeyValueStore) Get(key []byte) Value {
	value, _ := s.GetWithTimestamp(key)
	return value
}

// GetWithTimestamp is the value of a key with its timestamp, which is -1 if there is no value or the store keeps none.
func (s *KeyValueStore) GetWithTimestamp(key []byte) (Value, int64) { return s.cache.get(key) }

// GetMany is the values of many keys, in their order, read in one call of the host.
func (s *KeyValueStore) GetMany(keys ...[]byte) []Value {
	for _, key := range keys {
		s.cache.want(key)
	}
	s.cache.readWanted()
	values := make([]Value, len(keys))
	for index, key := range keys {
		values[index], _ = s.cache.get(key)
	}
	return values
}

// Put sets the value of a key. A nil value deletes it.
func (s *KeyValueStore) Put(key, value []byte) { s.cache.put(key, value, s.context.timestamp) }

// PutAt sets the value of a key with another timestamp than that of the record.
func (s *KeyValueStore) PutAt(key, value []byte, timestamp int64) { s.cache.put(key, value, timestamp) }

// PutMany sets many entries, each with its own timestamp; one without a value is deleted.
func (s *KeyValueStore) PutMany(entries ...Entry) {
	for _, entry := range entries {
		s.cache.put(entry.Key, entry.Value, entry.Timestamp)
	}
}

// PutIfAbsent sets the value of a key if there is none, and returns what was there.
func (s *KeyValueStore) PutIfAbsent(key, value []byte) Value {
	found := s.Get(key)
	if found == nil {
		s.Put(key, value)
	}
	return found
}

// Delete removes a key and returns what was there. Put with no value is cheaper where that isn't needed: it doesn't read.
func (s *KeyValueStore) Delete(key []byte) Value {
	found := s.Get(key)
	if found != nil {
		s.Put(key, nil)
	}
	return found
}

// Range walks over the entries from the lowest key to the highest, both included; nil means no bound. The walk may be
// left early, and what it passes may be written meanwhile; whether the walk meets what was written is not promised.
func (s *KeyValueStore) Range(lowest, highest []byte, order Order) iter.Seq[Entry] {
	return s.walk(func() host.Cursor { return s.cache.handle.Range(lowest, highest, bool(order)) })
}

// All walks over all entries.
func (s *KeyValueStore) All() iter.Seq[Entry] { return s.Range(nil, nil, Ascending) }

// Prefix walks over the entries whose keys begin with a prefix, as Range.
func (s *KeyValueStore) Prefix(prefix []byte, order Order) iter.Seq[Entry] {
	return s.walk(func() host.Cursor { return s.cache.handle.Prefix(prefix, bool(order)) })
}

func (s *KeyValueStore) walk(open func() host.Cursor) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		s.cache.writeBack()
		cursor := open()
		defer cursor.Drop()
		for {
			s.cache.writeBack()
			page := cursor.Next(0)
			if len(page.KeyEnds) == 0 {
				return
			}
			key, value := uint32(0), uint32(0)
			for index := range page.KeyEnds {
				keyEnd, valueEnd := page.KeyEnds[index], page.ValueEnds[index]
				entry := Entry{
					Key:       page.Keys[key:keyEnd:keyEnd],
					Value:     page.Values[value:valueEnd:valueEnd],
					Timestamp: page.Timestamps[index],
				}
				if !yield(entry) {
					return
				}
				key, value = keyEnd, valueEnd
			}
		}
	}
}

// ApproximateEntries says about how many entries the store has. Cheap.
func (s *KeyValueStore) ApproximateEntries() uint64 {
	s.cache.writeBack()
	return s.cache.handle.ApproximateEntries()
}

func (s *KeyValueStore) beginBatch(batch *Batch) {
	// For one record a read ahead is a read too many.
	if batch.Len() < 2 || !s.readsKeys && s.readAhead == nil {
		return
	}
	if s.readsKeys {
		s.wantKeys(&batch.columns)
	}
	if s.readAhead != nil {
		want := s.cache.want
		for _, record := range batch.Records() {
			s.readAhead(record, want)
		}
	}
	s.cache.readWanted()
}

func (s *KeyValueStore) wantKeys(columns *host.Batch) {
	start := uint32(0)
	for row, end := range columns.KeyEnds {
		// A null key is read as an empty one: it is rare, and so rows and entries agree.
		s.cache.wantRow(row, columns.Keys[start:end])
		start = end
	}
}
