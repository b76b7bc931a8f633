// Adds up what each customer owes, in the store `totals`, and forwards every new total, in cents.
package main

import "millstream.dev/go/millstream"

type total struct{ totals *millstream.KeyValueStore }

func newTotal(setup *millstream.Setup) (millstream.Processor, error) {
	totals, err := setup.Store("totals")
	if err != nil {
		return nil, err
	}
	totals.ReadAhead()
	return total{totals}, nil
}

func (t total) Process(record *millstream.Record, context *millstream.Context) error {
	var order struct {
		Cents int64 `json:"cents"`
	}
	if err := record.Value.JSON(&order); err != nil {
		return err
	}
	var owed int64
	if before := t.totals.Get(record.Key); before != nil {
		var err error
		if owed, err = before.Int64(); err != nil {
			return err
		}
	}
	owed += order.Cents
	t.totals.Put(record.Key, millstream.Int64(owed))
	context.Forward(record.WithValue(millstream.Int64(owed)))
	return nil
}

func init() { millstream.Register("total", newTotal) }

func main() {}
