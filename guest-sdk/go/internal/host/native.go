//go:build !wasip1

package host

import (
	"fmt"
	"os"
	"sync/atomic"
)

// Context is wit/context.wit. What it returns lives in the host's arena, until the call into the plugin returns.
type Context interface {
	Forward(child int, batch *Batch, rows []uint32)
	Child(name string) (index uint32, found bool)
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

// LogSink takes what is logged in native tests; standard error does where there is none.
var LogSink atomic.Pointer[func(level uint32, message string)]

// Log writes a line.
func Log(level uint32, message string) {
	if sink := LogSink.Load(); sink != nil {
		(*sink)(level, message)
		return
	}
	fmt.Fprintln(os.Stderr, message)
}
