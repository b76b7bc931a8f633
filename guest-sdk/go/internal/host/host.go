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
	// In what is forwarded: the key, or the value, is that of the row, and takes no bytes; see wit/context.wit.
	KeyOfRow   = 4
	ValueOfRow = 8
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

// PushKey appends a key.
func (e *Entries) PushKey(key []byte) {
	e.Keys = append(e.Keys, key...)
	e.KeyEnds = append(e.KeyEnds, uint32(len(e.Keys)))
}

// Push appends an entry; a nil value deletes.
func (e *Entries) Push(key, value []byte, timestamp int64) {
	e.PushKey(key)
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
