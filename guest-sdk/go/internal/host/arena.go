//go:build wasip1

// The memory into which the host writes arguments and answers.
//
// The host asks for it (`cabi_realloc`) at moments when Go must not allocate: while the WASI adapter starts, before
// Go's runtime is up, and between a call and its answer, when a garbage collection would call the clock, which a
// component must not do then. So it is kept apart from Go's heap: a static block for the start, then pages from the
// runtime's own sbrk (which must know of all pages), used from the front and emptied when the call returns. Nothing
// in here may grow the stack.

package host

import "unsafe"

// The adapter keeps its stack and its state in here for ever: 64 KiB each.
var startBlock [160 * 1024 / alignment]uint64

var startUsed uintptr

// Where a block of the arena is.
type block struct {
	start      unsafe.Pointer
	size, used uintptr
}

// Each block is at least as large as all before it together, so that few are needed and at most half is idle.
var blocks [24]block

var blockCount int

// Blocks begin with this size, Wasm pages of 64 KiB.
const blockBytesMin = 256 * 1024

// All that is in the arena is aligned for the widest column.
const alignment = 8

var hasStarted bool

func init() { hasStarted = true }

//go:linkname sbrk runtime.sbrk
//go:nosplit
func sbrk(bytes uintptr) unsafe.Pointer

// Trap ends the instance at once.
func Trap()

//go:wasmexport cabi_realloc
//go:nosplit
func realloc(old unsafe.Pointer, oldSize, align, size uint32) unsafe.Pointer {
	wanted := (uintptr(size) + alignment - 1) &^ (alignment - 1)
	var found unsafe.Pointer
	if hasStarted {
		found = fromBlocks(wanted)
	} else {
		found = fromStart(wanted)
	}
	if old != nil {
		for at := uintptr(0); at < uintptr(min(oldSize, size)); at++ {
			*(*byte)(unsafe.Add(found, at)) = *(*byte)(unsafe.Add(old, at))
		}
	}
	return found
}

//go:nosplit
func fromStart(wanted uintptr) unsafe.Pointer {
	if startUsed+wanted > unsafe.Sizeof(startBlock) {
		Trap()
	}
	found := unsafe.Add(unsafe.Pointer(&startBlock), startUsed)
	startUsed += wanted
	return found
}

//go:nosplit
func fromBlocks(wanted uintptr) unsafe.Pointer {
	total := uintptr(0)
	for index := 0; index < blockCount; index++ {
		b := &blocks[index]
		if b.size-b.used >= wanted {
			found := unsafe.Add(b.start, b.used)
			b.used += wanted
			return found
		}
		total += b.size
	}
	size := max(total, blockBytesMin, (wanted+0xffff)&^0xffff)
	start := sbrk(size)
	if start == nil && size > wanted {
		// Less may still fit below the limit of the memory.
		size = (wanted + 0xffff) &^ 0xffff
		start = sbrk(size)
	}
	if start == nil || blockCount == len(blocks) {
		Trap()
	}
	blocks[blockCount] = block{start: start, size: size, used: wanted}
	blockCount++
	return start
}

// EndCall empties the arena: what the host has written is not used any more.
func EndCall() {
	for index := 0; index < blockCount; index++ {
		blocks[index].used = 0
	}
}
