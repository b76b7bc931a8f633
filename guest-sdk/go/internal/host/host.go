// Package host is the host as the rest of the SDK sees it: the imports of the contract (wit/) in Wasm, a stand-in in
// native tests.
package host

// Batch is a batch of records in packed columns, as in wit/types.wit. Ends and timestamps are numbers here: a Wasm
// memory is little-endian, as the contract is.
type Batch struct {
	Keys       []byte
	KeyEnds    []uint32
	Values     []byte
	ValueEnds  []uint32
	Timestamps []int64
	Nulls      []byte
	Headers    []byte
}

// Bits of Batch.Nulls.
const (
	NullKey   = 1
	NullValue = 2
)

// Values are values in columns, as in wit/state.wit.
type Values struct {
	Values     []byte
	ValueEnds  []uint32
	Nulls      []byte
	Timestamps []int64
}

// Entries are entries in columns, as in wit/state.wit.
type Entries struct {
	Keys       []byte
	KeyEnds    []uint32
	Values     []byte
	ValueEnds  []uint32
	Nulls      []byte
	Timestamps []int64
}

// Reset removes all entries and keeps the memory.
func (e *Entries) Reset() {
	e.Keys, e.KeyEnds = e.Keys[:0], e.KeyEnds[:0]
	e.Values, e.ValueEnds = e.Values[:0], e.ValueEnds[:0]
	e.Nulls, e.Timestamps = e.Nulls[:0], e.Timestamps[:0]
}

// Push appends an entry; a nil value deletes.
func (e *Entries) Push(key, value []byte, timestamp int64) {
	e.Keys = append(e.Keys, key...)
	e.KeyEnds = append(e.KeyEnds, uint32(len(e.Keys)))
	e.Values = append(e.Values, value...)
	e.ValueEnds = append(e.ValueEnds, uint32(len(e.Values)))
	isNull := byte(0)
	if value == nil {
		isNull = 1
	}
	e.Nulls = append(e.Nulls, isNull)
	e.Timestamps = append(e.Timestamps, timestamp)
}

// Setup is what a processor is told when it begins, as in wit/processor.wit.
type Setup struct {
	Processor string
	Node      string
	Task      string
	Config    map[string]string
	Children  []string
	Stores    []string
}

// Metadata says where a record came from.
type Metadata struct {
	Topic     string
	Partition int32
	Offset    int64
}

// AllChildren is the child that stands for all of them.
const AllChildren = -1

// Context is wit/context.wit. What it returns lives in the host's arena, until the call into the plugin returns.
type Context interface {
	Forward(child int, batch *Batch, rows []uint32)
	Schedule(start int64, hasStart bool, intervalMs uint64, kind uint32) (uint32, error)
	Cancel(id uint32)
	StreamTime(row uint32) int64
	WallClockTime() int64
	Metadata(row uint32) (Metadata, bool)
	Commit()
	OpenStore(name string) (Store, error)
}

// Store is a store of wit/state.wit.
type Store interface {
	Get(key []byte) (value []byte, timestamp int64, found bool)
	GetMany(keys []byte, keyEnds []uint32) Values
	PutMany(entries *Entries)
	Range(lowest, highest []byte, descending bool) Cursor
	Prefix(prefix []byte, descending bool) Cursor
	ApproximateEntries() uint64
}

// Cursor is a cursor of wit/state.wit.
type Cursor interface {
	Next(entriesMax uint32) Entries
	Drop()
}
