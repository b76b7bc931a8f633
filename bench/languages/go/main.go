// The processors that bench/ measures, in Go.
package main

import "millstream.dev/go/millstream"

type identity struct{}

func (identity) Process(record *millstream.Record, context *millstream.Context) error {
	context.Forward(record)
	return nil
}

type count struct{ counts *millstream.KeyValueStore }

func newCount(setup *millstream.Setup) (millstream.Processor, error) {
	counts, err := setup.Store("counts")
	if err != nil {
		return nil, err
	}
	return count{counts.ReadAhead()}, nil
}

func (c count) Process(record *millstream.Record, context *millstream.Context) error {
	if record.Key == nil {
		return millstream.Skip("the record has no key")
	}
	number := int64(1)
	if before := c.counts.Get(record.Key); before != nil {
		known, err := before.Int64()
		if err != nil {
			return err
		}
		number += known
	}
	value := millstream.Int64(number)
	c.counts.Put(record.Key, value)
	context.Forward(record.WithValue(value))
	return nil
}

func init() {
	millstream.Register("identity", func(*millstream.Setup) (millstream.Processor, error) { return identity{}, nil })
	millstream.Register("count", newCount)
}

func main() {}
