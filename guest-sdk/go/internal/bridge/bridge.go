// Package bridge lets package millstreamtest run processors as a component's exports do, without showing to authors how.
package bridge

import "millstream.dev/go/internal/host"

// Failure is a record that was not processed.
type Failure struct {
	Row uint32
	Err error
}

// Running is a processor that has begun.
type Running interface {
	Process(columns host.Batch) []Failure
	Punctuate(id uint32, timestamp int64) error
	Close()
}

// Begin begins the processor that new, a millstream.New, makes. Package millstream sets it.
var Begin func(setup host.Setup, on host.Context, new any) (Running, error)

// AppendHeaders appends the entry of a record to a column of headers; headers are millstream.Headers.
var AppendHeaders func(column []byte, index int, headers any) []byte

// Records are the records of a batch, a []millstream.Record.
var Records func(columns host.Batch) any
