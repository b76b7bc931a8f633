package millstream

import (
	"slices"
	"time"

	"millstream.dev/go/internal/host"
)

// PunctuationType is the time that a punctuation follows.
type PunctuationType uint8

const (
	// StreamTime is the task's stream time: the highest timestamp of its records. It stands still without records.
	StreamTime PunctuationType = iota
	// WallClockTime is the time of the machine's clock.
	WallClockTime
)

// Metadata says where a record came from.
type Metadata struct {
	// Topic is empty in a punctuation.
	Topic string
	// Partition is -1 in a punctuation.
	Partition int32
	// Offset is -1 in a punctuation.
	Offset int64
}

// Punctuator is called when a punctuation is due; timestamp is the stream time or wall-clock time now, in milliseconds
// since the epoch. When it returns an error, what it forwarded and wrote is taken back.
type Punctuator func(timestamp int64, context *Context) error

// Punctuation is what was scheduled.
type Punctuation struct {
	context *Context
	id      uint32
}

// Cancel ends the punctuation; it may be the one that is being called.
func (p *Punctuation) Cancel() {
	p.context.host.Cancel(p.id)
	p.context.punctuators = slices.DeleteFunc(p.context.punctuators, func(other scheduled) bool { return other.id == p.id })
}

type scheduled struct {
	id         uint32
	punctuator Punctuator
}

// Context is what a processor can do while it is called: forward, schedule, ask for times and for where a record came
// from.
type Context struct {
	host   host.Context
	output output
	stores []*KeyValueStore
	// The timestamp that stores write by default: that of the record, or of the punctuation.
	timestamp int64
	// The row of the record that is processed; noRow outside of a batch.
	row         uint32
	punctuators []scheduled
	failures    []failure
}

// failure is a record that was not processed.
type failure struct {
	row uint32
	err error
}

// Forward forwards a record to every child. Children get it after the call; see wit/context.wit.
func (c *Context) Forward(record *Record) { c.output.push(host.AllChildren, record, c.row) }

// ForwardTo forwards a record to one child.
func (c *Context) ForwardTo(child Child, record *Record) { c.output.push(child.index, record, c.row) }

// Schedule calls the punctuator every interval. By stream time first as soon as the stream time is known, by wall-clock
// time after one interval; intervals that nobody had time for are skipped. The error says that the interval is less than
// a millisecond, or that the processor has too many punctuations.
func (c *Context) Schedule(interval time.Duration, kind PunctuationType, punctuator Punctuator) (*Punctuation, error) {
	return c.schedule(0, false, interval, kind, punctuator)
}

// ScheduleAt is Schedule, first due at a time (milliseconds since the epoch, not negative) and then in that rhythm.
func (c *Context) ScheduleAt(start int64, interval time.Duration, kind PunctuationType, punctuator Punctuator) (*Punctuation, error) {
	return c.schedule(start, true, interval, kind, punctuator)
}

func (c *Context) schedule(
	start int64, hasStart bool, interval time.Duration, kind PunctuationType, punctuator Punctuator,
) (*Punctuation, error) {
	id, err := c.host.Schedule(start, hasStart, uint64(max(interval.Milliseconds(), 0)), uint32(kind))
	if err != nil {
		return nil, Fatal("%w", err)
	}
	c.punctuators = append(c.punctuators, scheduled{id, punctuator})
	return &Punctuation{c, id}, nil
}

// StreamTime is the task's stream time at the record that is processed; -1 before any record.
func (c *Context) StreamTime() int64 { return c.host.StreamTime(c.rowOrZero()) }

// WallClockTime is the wall-clock time in milliseconds since the epoch; it stands still during a batch.
func (c *Context) WallClockTime() int64 { return c.host.WallClockTime() }

// Metadata says where the record that is processed came from; there is none when a processor begins.
func (c *Context) Metadata() (Metadata, bool) {
	found, ok := c.host.Metadata(c.rowOrZero())
	return Metadata(found), ok
}

// Commit asks for a commit soon.
func (c *Context) Commit() { c.host.Commit() }

// Row does the work for the record at a row of the batch: what the work forwards and writes belongs to that record, and
// is taken back if it fails. It returns false when the rest of the batch must not be processed. For
// BatchProcessor.ProcessBatch; rows must ascend.
func (c *Context) Row(batch *Batch, row int, work func() error) bool {
	c.beginRow(uint32(row), batch.key(row), batch.columns.Timestamps[row])
	if err := work(); err != nil {
		return c.fail(err)
	}
	c.endRow()
	return true
}

func (c *Context) beginRow(row uint32, key []byte, timestamp int64) {
	c.row = row
	c.timestamp = timestamp
	for _, store := range c.stores {
		store.cache.beginRow(row, key)
	}
}

func (c *Context) endRow() {
	if c.output.bytes > handOverBytes {
		c.output.handOver(c.host)
	}
}

// fail notes that the current record failed, and says whether the batch goes on.
func (c *Context) fail(err error) bool {
	c.output.takeBack(c.row)
	for _, store := range c.stores {
		store.cache.takeBack()
	}
	c.failures = append(c.failures, failure{c.row, err})
	return reactionTo(err).goesOn()
}

func (c *Context) rowOrZero() uint32 {
	if c.row == noRow {
		return 0
	}
	return c.row
}

// openStore opens a store; the same one again if it is open already.
func (c *Context) openStore(name string) (*KeyValueStore, error) {
	for _, store := range c.stores {
		if store.name == name {
			return store, nil
		}
	}
	handle, err := c.host.OpenStore(name)
	if err != nil {
		return nil, Fatal("%w", err)
	}
	store := &KeyValueStore{name: name, context: c, cache: cache{handle: handle}}
	c.stores = append(c.stores, store)
	return store, nil
}

func (c *Context) beginBatch(batch *Batch) {
	c.failures = c.failures[:0]
	c.output.sequenced = batch.Len() == 1
	c.output.input = &batch.columns
	for _, store := range c.stores {
		store.beginBatch(batch)
	}
}

func (c *Context) beginPunctuation(timestamp int64) {
	c.output.sequenced = true
	c.row = noRow
	c.timestamp = timestamp
	for _, store := range c.stores {
		store.cache.beginRecord()
	}
}

// takeBackPunctuation forgets what a punctuation did.
func (c *Context) takeBackPunctuation() {
	c.output.clear()
	for _, store := range c.stores {
		store.cache.takeBack()
	}
}

// end hands everything to the host.
func (c *Context) end() {
	for _, store := range c.stores {
		store.cache.end()
	}
	c.output.handOver(c.host)
	c.output.input = nil
	c.row = noRow
}

// punctuator is the one that was scheduled under an id.
func (c *Context) punctuator(id uint32) (Punctuator, bool) {
	for _, scheduled := range c.punctuators {
		if scheduled.id == id {
			return scheduled.punctuator, true
		}
	}
	return nil, false
}
