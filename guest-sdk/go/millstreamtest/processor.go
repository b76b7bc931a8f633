//go:build !wasip1

// Package millstreamtest runs processors in ordinary Go tests: no Wasm, no broker, a clock that stands still until it is
// told otherwise.
//
//	func TestCounts(t *testing.T) {
//		test := millstreamtest.New(newCount).WithStore("counts").Begin(t)
//		record := millstream.Record{Key: millstream.Text("a"), Timestamp: 1}
//		if err := test.Process(record); err != nil {
//			t.Fatal(err)
//		}
//		if got := test.TakeForwarded(); len(got) != 1 {
//			t.Errorf("forwarded %v", got)
//		}
//	}
package millstreamtest

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"millstream.dev/go/internal/bridge"
	"millstream.dev/go/internal/host"
	"millstream.dev/go/millstream"
)

// Processor is a processor to be tested: what it is given at the beginning, then, after Begin, the processor itself.
type Processor struct {
	new     millstream.New
	setup   host.Setup
	host    *standIn
	running bridge.Running
}

// Forwarded is a record that was forwarded.
type Forwarded struct {
	millstream.Record
	// Child is the child that it was forwarded to; empty for all.
	Child string
}

// Failure is a record of a batch that was not processed.
type Failure struct {
	Row int
	Err error
}

// New makes a processor without settings and stores, with one child named `child`. Stream time is -1, wall-clock time 0.
func New(new millstream.New) *Processor {
	return &Processor{
		new: new,
		setup: host.Setup{
			Processor: "processor", Node: "node", Task: "0_0", Config: map[string]string{}, Children: []string{"child"},
		},
		host: &standIn{streamTime: -1, stores: map[string]*store{}},
	}
}

// NewFunc is New for a processor that is only a function.
func NewFunc(process func(record *millstream.Record, context *millstream.Context) error) *Processor {
	return New(func(*millstream.Setup) (millstream.Processor, error) { return millstream.ProcessorFunc(process), nil })
}

// WithConfig gives it a setting.
func (p *Processor) WithConfig(key, value string) *Processor {
	p.setup.Config[key] = value
	return p
}

// WithChildren gives it other children.
func (p *Processor) WithChildren(children ...string) *Processor {
	p.setup.Children = children
	return p
}

// WithStore gives it an empty store; one that keeps timestamps.
func (p *Processor) WithStore(name string) *Processor {
	p.setup.Stores = append(p.setup.Stores, name)
	p.host.stores[name] = &store{host: p.host}
	return p
}

// Begin begins it, and fails the test if it can't.
func (p *Processor) Begin(t testing.TB) *Processor {
	t.Helper()
	if err := p.TryBegin(); err != nil {
		t.Fatalf("the processor can't begin: %v", err)
	}
	return p
}

// TryBegin begins it; the error is the processor's.
func (p *Processor) TryBegin() (err error) {
	p.host.children = p.setup.Children
	p.called(func() { p.running, err = bridge.Begin(p.setup, p.host, p.new) })
	return err
}

// Lines that are logged belong to the processor that is called.
var calling sync.Mutex

func (p *Processor) called(call func()) {
	calling.Lock()
	defer calling.Unlock()
	sink := func(level uint32, message string) {
		p.host.logged = append(p.host.logged, fmt.Sprintf("%s: %s", levels[level], message))
	}
	host.LogSink.Store(&sink)
	defer host.LogSink.Store(nil)
	call()
}

var levels = [...]string{"trace", "debug", "info", "warn", "error"}

// Process gives it one record, then calls the punctuations that are due. The error is the processor's, or a
// punctuator's.
func (p *Processor) Process(record millstream.Record) error {
	failures, err := p.ProcessBatch(record)
	if len(failures) > 0 {
		err = errors.Join(failures[0].Err, err)
	}
	return err
}

// ProcessBatch gives it records in one batch, then calls the punctuations that are due. It returns the records that
// failed; the error is a punctuator's.
func (p *Processor) ProcessBatch(records ...millstream.Record) ([]Failure, error) {
	columns := columnsOf(records)
	p.host.input, p.host.copiedBytes = cloned(&columns), 0
	p.host.calls, p.host.inPunctuation, p.host.streamTimes = 0, false, nil
	for _, record := range records {
		p.host.streamTime = max(p.host.streamTime, record.Timestamp)
		p.host.streamTimes = append(p.host.streamTimes, p.host.streamTime)
	}
	var failures []Failure
	p.called(func() {
		for _, failure := range p.running.Process(columns) {
			failures = append(failures, Failure{int(failure.Row), failure.Err})
		}
	})
	if !reflect.DeepEqual(columns, p.host.input) {
		panic("the bytes of a record were changed in place: forward a changed copy of it")
	}
	return failures, p.punctuate(streamTime)
}

func columnsOf(records []millstream.Record) host.Batch {
	columns := host.Batch{Keys: []byte{}, Values: []byte{}}
	for index, record := range records {
		columns.Keys = append(columns.Keys, record.Key...)
		columns.KeyEnds = append(columns.KeyEnds, uint32(len(columns.Keys)))
		columns.Values = append(columns.Values, record.Value...)
		columns.ValueEnds = append(columns.ValueEnds, uint32(len(columns.Values)))
		columns.Timestamps = append(columns.Timestamps, record.Timestamp)
		nulls := byte(0)
		if record.Key == nil {
			nulls |= host.NullKey
		}
		if record.Value == nil {
			nulls |= host.NullValue
		}
		columns.Nulls = append(columns.Nulls, nulls)
		columns.Headers = bridge.AppendHeaders(columns.Headers, index, record.Headers)
	}
	return columns
}

// AdvanceWallClockTime lets time pass on the wall clock, then calls the punctuations that are due. The error is a
// punctuator's.
func (p *Processor) AdvanceWallClockTime(by time.Duration) error {
	p.host.wallClockTime += by.Milliseconds()
	return p.punctuate(wallClockTime)
}

func (p *Processor) punctuate(kind uint32) (err error) {
	p.host.inPunctuation = true
	defer func() { p.host.inPunctuation = false }()
	for _, id := range p.host.due(kind) {
		p.called(func() { err = errors.Join(err, p.running.Punctuate(id, p.host.now(kind))) })
	}
	return err
}

// Close tells it that its task is closed.
func (p *Processor) Close() { p.called(p.running.Close) }

// TakeForwarded is what was forwarded since the last call, in the order of the calls of Forward for each child.
func (p *Processor) TakeForwarded() []Forwarded {
	var forwarded []Forwarded
	for _, call := range p.host.forwarded {
		child := ""
		if call.child != host.AllChildren {
			child = p.setup.Children[call.child]
		}
		for _, record := range bridge.Records(call.batch).([]millstream.Record) {
			forwarded = append(forwarded, Forwarded{record, child})
		}
	}
	p.host.forwarded = nil
	return forwarded
}

// Stored is what a store holds for a key, nil if nothing.
func (p *Processor) Stored(store string, key []byte) millstream.Value {
	held := p.host.stores[store]
	if index, found := held.find(key); found {
		return bytes.Clone(held.entries[index].value)
	}
	return nil
}

// Put puts an entry into a store.
func (p *Processor) Put(store string, key, value []byte) { p.host.stores[store].put(key, value, 0) }

// HostCalls is how many calls into the host the last batch made; a number to keep small.
func (p *Processor) HostCalls() int { return p.host.calls }

// Logged are the lines logged so far, each with its level.
func (p *Processor) Logged() []string { return p.host.logged }

// CommitsRequested is how often a commit was asked for.
func (p *Processor) CommitsRequested() int { return p.host.commits }
