// Says of each record how often its key has come.
package main

import (
	"fmt"

	"millstream.dev/go/millstream"
)

type processor struct{ seen *millstream.KeyValueStore }

func begin(setup *millstream.Setup) (millstream.Processor, error) {
	seen, err := setup.Store("seen")
	if err != nil {
		return nil, err
	}
	return processor{seen.ReadAhead()}, nil
}

func (p processor) Process(record *millstream.Record, context *millstream.Context) error {
	key, err := record.Key.Text()
	if err != nil {
		return err
	}
	times := int64(1)
	if before := p.seen.Get(record.Key); before != nil {
		if times, err = before.Int64(); err != nil {
			return err
		}
		times++
	}
	p.seen.Put(record.Key, millstream.Int64(times))
	context.Forward(record.WithValue(fmt.Appendf(nil, "%s has come %d times", key, times)))
	return nil
}

func init() { millstream.Register("{{name}}", begin) }

func main() {}
