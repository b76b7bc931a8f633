// The conformance plugin in Go: what the suite in tests/tests/conformance asks of every language; its README says what each
// processor and command does.
package main

import (
	"bytes"
	"strconv"

	"millstream.dev/go/millstream"
)

func init() {
	millstream.RegisterFunc("echo", echo)
	millstream.Register("batch", func(*millstream.Setup) (millstream.Processor, error) { return inBatches{}, nil })
	millstream.Register("count", newCount)
	millstream.Register("do", newCommands)
	millstream.RegisterPredicate("is-even", isEven)
	millstream.RegisterKeySelector("by-value", func(record *millstream.Record) ([]byte, error) { return record.Value, nil })
}

func main() {}

// echo forwards the record, whatever it is.
func echo(record *millstream.Record, context *millstream.Context) error {
	context.Forward(record)
	return nil
}

// inBatches answers the number of records in the batch.
type inBatches struct{}

func (inBatches) Process(record *millstream.Record, context *millstream.Context) error {
	context.Forward(record.WithValue([]byte("1")))
	return nil
}

func (inBatches) ProcessBatch(batch *millstream.Batch, context *millstream.Context) {
	length := strconv.AppendInt(nil, int64(batch.Len()), 10)
	for row, record := range batch.Records() {
		goOn := context.Row(batch, row, func() error {
			context.Forward(record.WithValue(length))
			return nil
		})
		if !goOn {
			return
		}
	}
}

// count counts the records of each key.
type count struct{ counts *millstream.KeyValueStore }

func newCount(setup *millstream.Setup) (millstream.Processor, error) {
	name, found := setup.Config["store"]
	if !found {
		name = "plain"
	}
	counts, err := setup.Store(name)
	if err != nil {
		return nil, err
	}
	return count{counts.ReadAhead()}, nil
}

func (c count) Process(record *millstream.Record, context *millstream.Context) error {
	if record.Key == nil {
		return nil
	}
	number := int64(0)
	if before := c.counts.Get(record.Key); before != nil {
		var err error
		if number, err = before.Int64(); err != nil {
			return err
		}
	}
	value := millstream.Int64(number + 1)
	c.counts.Put(record.Key, value)
	context.Forward(record.WithValue(value))
	return nil
}

func isEven(record *millstream.Record) (bool, error) {
	if record.Value == nil {
		return false, nil
	}
	number, err := record.Value.Int64()
	return number%2 == 0, err
}

// filled are so many bytes, all of them `x`.
func filled(length string) ([]byte, error) {
	number, err := strconv.Atoi(length)
	return bytes.Repeat([]byte("x"), number), err
}
