//go:build wasip1

// The imports of the contract, by the canonical ABI: lists are a pointer and a length, an answer of several values is
// written to where the last argument points.

package host

import (
	"errors"
	"unsafe"
)

//go:wasmimport millstream:processor/context@0.1.0 forward
//go:noescape
func contextForward(keys unsafe.Pointer, keysLen uint32, keyEnds unsafe.Pointer, keyEndsLen uint32,
	values unsafe.Pointer, valuesLen uint32, valueEnds unsafe.Pointer, valueEndsLen uint32,
	timestamps unsafe.Pointer, timestampsLen uint32, nulls unsafe.Pointer, nullsLen uint32,
	headers unsafe.Pointer, headersLen uint32, rows unsafe.Pointer, rowsLen uint32)

// Its arguments are more than the ABI passes one by one: they come as a record in memory.
//
//go:wasmimport millstream:processor/context@0.1.0 forward-to
//go:noescape
func contextForwardTo(arguments unsafe.Pointer)

//go:wasmimport millstream:processor/context@0.1.0 child
//go:noescape
func contextChild(name unsafe.Pointer, nameLen uint32, answer unsafe.Pointer)

//go:wasmimport millstream:processor/context@0.1.0 schedule
//go:noescape
func contextSchedule(intervalMs uint64, kind uint32, answer unsafe.Pointer)

//go:wasmimport millstream:processor/context@0.1.0 schedule-at
//go:noescape
func contextScheduleAt(start int64, intervalMs uint64, kind uint32, answer unsafe.Pointer)

//go:wasmimport millstream:processor/context@0.1.0 cancel
func contextCancel(id uint32)

//go:wasmimport millstream:processor/context@0.1.0 stream-time
func contextStreamTime(row uint32) int64

//go:wasmimport millstream:processor/context@0.1.0 wall-clock-time
func contextWallClockTime() int64

//go:wasmimport millstream:processor/context@0.1.0 metadata
//go:noescape
func contextMetadata(row uint32, answer unsafe.Pointer)

//go:wasmimport millstream:processor/context@0.1.0 commit
func contextCommit()

//go:wasmimport millstream:processor/state@0.1.0 [static]key-value-store.open
//go:noescape
func storeOpen(name unsafe.Pointer, nameLen uint32, answer unsafe.Pointer)

//go:wasmimport millstream:processor/state@0.1.0 [method]key-value-store.get
//go:noescape
func storeGet(store uint32, key unsafe.Pointer, keyLen uint32, answer unsafe.Pointer)

//go:wasmimport millstream:processor/state@0.1.0 [method]key-value-store.get-many
//go:noescape
func storeGetMany(store uint32, keys unsafe.Pointer, keysLen uint32, keyEnds unsafe.Pointer, keyEndsLen uint32,
	answer unsafe.Pointer)

//go:wasmimport millstream:processor/state@0.1.0 [method]key-value-store.put-many
//go:noescape
func storePutMany(store uint32, keys unsafe.Pointer, keysLen uint32, keyEnds unsafe.Pointer, keyEndsLen uint32,
	values unsafe.Pointer, valuesLen uint32, valueEnds unsafe.Pointer, valueEndsLen uint32,
	nulls unsafe.Pointer, nullsLen uint32, timestamps unsafe.Pointer, timestampsLen uint32)

//go:wasmimport millstream:processor/state@0.1.0 [method]key-value-store.range
//go:noescape
func storeRange(store uint32, hasLowest uint32, lowest unsafe.Pointer, lowestLen uint32,
	hasHighest uint32, highest unsafe.Pointer, highestLen uint32, order uint32) uint32

//go:wasmimport millstream:processor/state@0.1.0 [method]key-value-store.prefix
//go:noescape
func storePrefix(store uint32, prefix unsafe.Pointer, prefixLen uint32, order uint32) uint32

//go:wasmimport millstream:processor/state@0.1.0 [method]key-value-store.approximate-entries
func storeApproximateEntries(store uint32) uint64

//go:wasmimport millstream:processor/state@0.1.0 [method]cursor.next
//go:noescape
func cursorNext(cursor uint32, entriesMax uint32, answer unsafe.Pointer)

//go:wasmimport millstream:processor/state@0.1.0 [resource-drop]cursor
func cursorDrop(cursor uint32)

//go:wasmimport millstream:processor/log@0.1.0 log
//go:noescape
func logLog(level uint32, message unsafe.Pointer, messageLen uint32)

// Where imports write; the largest answer is six lists, the widest number has 8 bytes. Calls never overlap.
var answerSpace [6]uint64

var answer = (*[12]uint32)(unsafe.Pointer(&answerSpace))

func answerAt() unsafe.Pointer { return unsafe.Pointer(&answerSpace) }

// answer64 is the 64-bit number at a word of the answer.
func answer64(word int) int64 { return *(*int64)(unsafe.Pointer(&answer[word])) }

// listAt is the list whose pointer and length are at a word of the answer.
func listAt(word int) []byte { return BytesAt(answer[word], answer[word+1]) }

func textAt(word int) string { return string(listAt(word)) }

func at(address uint32) unsafe.Pointer { return unsafe.Add(nil, address) }

// BytesAt sees memory that the host filled as bytes; never nil.
func BytesAt(address, length uint32) []byte {
	if length == 0 {
		return []byte{}
	}
	return unsafe.Slice((*byte)(at(address)), length)
}

// Uint32sAt sees a packed column as numbers.
func Uint32sAt(address, bytes uint32) []uint32 {
	return unsafe.Slice((*uint32)(at(address)), bytes/4)
}

// Int64sAt sees a packed column as numbers.
func Int64sAt(address, bytes uint32) []int64 {
	return unsafe.Slice((*int64)(at(address)), bytes/8)
}

func numbersAt(word int) []uint32 { return Uint32sAt(answer[word], answer[word+1]) }

func timestampsAt(word int) []int64 { return Int64sAt(answer[word], answer[word+1]) }

func data[T any](slice []T) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(slice)) }

func size32(slice []uint32) uint32 { return uint32(len(slice)) * 4 }

func size64(slice []int64) uint32 { return uint32(len(slice)) * 8 }

// Context is wit/context.wit. What it returns lives in the arena, until the call into the plugin returns. In native tests it
// is an interface; here calls are direct, and what they are given may stay on the stack.
type Context struct{}

// Forward is the import of that name.
func (Context) Forward(child int, batch *Batch, rows []uint32) {
	if child == AllChildren {
		contextForward(data(batch.Keys), uint32(len(batch.Keys)), data(batch.KeyEnds), size32(batch.KeyEnds),
			data(batch.Values), uint32(len(batch.Values)), data(batch.ValueEnds), size32(batch.ValueEnds),
			data(batch.Timestamps), size64(batch.Timestamps), data(batch.Nulls), uint32(len(batch.Nulls)),
			data(batch.Headers), uint32(len(batch.Headers)), data(rows), size32(rows))
		return
	}
	forwardTo = [17]uint32{
		uint32(child),
		address(data(batch.Keys)), uint32(len(batch.Keys)), address(data(batch.KeyEnds)), size32(batch.KeyEnds),
		address(data(batch.Values)), uint32(len(batch.Values)), address(data(batch.ValueEnds)), size32(batch.ValueEnds),
		address(data(batch.Timestamps)), size64(batch.Timestamps), address(data(batch.Nulls)), uint32(len(batch.Nulls)),
		address(data(batch.Headers)), uint32(len(batch.Headers)), address(data(rows)), size32(rows),
	}
	contextForwardTo(unsafe.Pointer(&forwardTo))
}

// forwardTo holds the arguments of forward-to.
var forwardTo [17]uint32

func address(pointer unsafe.Pointer) uint32 { return uint32(uintptr(pointer)) }

// Child is the import of that name.
func (Context) Child(name string) (index uint32, found bool) {
	contextChild(unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)), answerAt())
	return answer[1], answer[0]&0xff != 0
}

// Schedule is the import of that name.
func (Context) Schedule(start int64, hasStart bool, intervalMs uint64, kind uint32) (uint32, error) {
	if hasStart {
		contextScheduleAt(start, intervalMs, kind, answerAt())
	} else {
		contextSchedule(intervalMs, kind, answerAt())
	}
	if answer[0]&0xff != 0 {
		return 0, errors.New(textAt(1))
	}
	return answer[1], nil
}

// Cancel is the import of that name.
func (Context) Cancel(id uint32) { contextCancel(id) }

// StreamTime is the import of that name.
func (Context) StreamTime(row uint32) int64 { return contextStreamTime(row) }

// WallClockTime is the import of that name.
func (Context) WallClockTime() int64 { return contextWallClockTime() }

// Metadata is the import of that name.
func (Context) Metadata(row uint32) (Metadata, bool) {
	// The flag; then, aligned to 8: the topic's pointer and length, the partition, padding, the offset.
	contextMetadata(row, answerAt())
	if answer[0]&0xff == 0 {
		return Metadata{}, false
	}
	return Metadata{Topic: textAt(2), Partition: int32(answer[4]), Offset: answer64(6)}, true
}

// Commit is the import of that name.
func (Context) Commit() { contextCommit() }

// OpenStore is the import of that name.
func (Context) OpenStore(name string) (Store, error) {
	storeOpen(unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)), answerAt())
	if answer[0]&0xff == 0 {
		return Store(answer[1]), nil
	}
	switch answer[1] & 0xff {
	case 0:
		return 0, errors.New("there is no store `" + name + "`: declare it in the manifest")
	case 1:
		return 0, errors.New("store `" + name + "` isn't among the `stores` of this node: add it there")
	default:
		return 0, errors.New("store `" + name + "` can't be opened: " + textAt(2))
	}
}

// Store is a store of wit/state.wit.
type Store uint32

// Get reads an entry.
func (s Store) Get(key []byte) (value []byte, timestamp int64, found bool) {
	storeGet(uint32(s), data(key), uint32(len(key)), answerAt())
	if answer[0]&0xff == 0 {
		return nil, -1, false
	}
	return listAt(2), answer64(4), true
}

// GetMany reads many entries.
func (s Store) GetMany(keys []byte, keyEnds []uint32) Values {
	storeGetMany(uint32(s), data(keys), uint32(len(keys)), data(keyEnds), size32(keyEnds), answerAt())
	return Values{Values: listAt(0), ValueEnds: numbersAt(2), Nulls: listAt(4), Timestamps: timestampsAt(6)}
}

// PutMany writes many entries.
func (s Store) PutMany(entries *Entries) {
	storePutMany(uint32(s), data(entries.Keys), uint32(len(entries.Keys)), data(entries.KeyEnds), size32(entries.KeyEnds),
		data(entries.Values), uint32(len(entries.Values)), data(entries.ValueEnds), size32(entries.ValueEnds),
		data(entries.Nulls), uint32(len(entries.Nulls)), data(entries.Timestamps), size64(entries.Timestamps))
}

// Range begins a walk; nil means no bound.
func (s Store) Range(lowest, highest []byte, descending bool) Cursor {
	return Cursor(storeRange(uint32(s), flag(lowest != nil), data(lowest), uint32(len(lowest)),
		flag(highest != nil), data(highest), uint32(len(highest)), flag(descending)))
}

// Prefix begins a walk.
func (s Store) Prefix(prefix []byte, descending bool) Cursor {
	return Cursor(storePrefix(uint32(s), data(prefix), uint32(len(prefix)), flag(descending)))
}

// ApproximateEntries counts roughly.
func (s Store) ApproximateEntries() uint64 { return storeApproximateEntries(uint32(s)) }

// Cursor is a cursor of wit/state.wit.
type Cursor uint32

// Next is the next page.
func (c Cursor) Next(entriesMax uint32) Entries {
	cursorNext(uint32(c), entriesMax, answerAt())
	return Entries{
		Keys: listAt(0), KeyEnds: numbersAt(2), Values: listAt(4), ValueEnds: numbersAt(6),
		Nulls: listAt(8), Timestamps: timestampsAt(10),
	}
}

// Drop ends the walk.
func (c Cursor) Drop() { cursorDrop(uint32(c)) }

func flag(is bool) uint32 {
	if is {
		return 1
	}
	return 0
}

// Log writes a line to the host's log.
func Log(level uint32, message string) {
	logLog(level, unsafe.Pointer(unsafe.StringData(message)), uint32(len(message)))
}
