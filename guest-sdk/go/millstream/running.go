package millstream

import "millstream.dev/go/internal/host"

// running is a processor that has begun, and its context.
type running struct {
	processor Processor
	context   Context
	batch     Batch
	record    Record
}

// begin begins a processor that was registered, or the one given.
func begin(setup host.Setup, on host.Context, new New) (*running, error) {
	if new == nil {
		found, err := processors.find("processor", setup.Processor)
		if err != nil {
			return nil, err
		}
		new = found
	}
	r := &running{context: Context{host: on, row: noRow}}
	processor, err := new(&Setup{
		Context: &r.context, Processor: setup.Processor, Node: setup.Node, Task: setup.Task,
		Config: setup.Config, Children: setup.Children, Stores: setup.Stores,
	})
	if err != nil {
		return nil, err
	}
	r.processor = processor
	r.context.end()
	return r, nil
}

// process processes a batch. The failures are good until the next call.
func (r *running) process(columns host.Batch) []failure {
	r.batch = Batch{columns: columns}
	context := &r.context
	context.beginBatch(&r.batch)
	if processor, ok := r.processor.(BatchProcessor); ok {
		processor.ProcessBatch(&r.batch, context)
	} else {
		r.processOneByOne()
	}
	context.end()
	return context.failures
}

// processOneByOne calls Process for each record. It is the one loop that every record of most plugins goes through, so it
// reads the columns itself: calls cost more in Wasm than what they do here.
func (r *running) processOneByOne() {
	context, record, c := &r.context, &r.record, &r.batch.columns
	isPlain := len(c.Nulls) == 0 && len(c.Headers) == 0
	hasStores := len(context.stores) > 0
	keyStart, valueStart := uint32(0), uint32(0)
	for row, timestamp := range c.Timestamps {
		if isPlain {
			keyEnd, valueEnd := c.KeyEnds[row], c.ValueEnds[row]
			record.Key, record.Value = c.Keys[keyStart:keyEnd:keyEnd], c.Values[valueStart:valueEnd:valueEnd]
			record.Timestamp, record.Headers.packed = timestamp, nil
			keyStart, valueStart = keyEnd, valueEnd
		} else {
			r.batch.read(record, row)
		}
		context.row, context.timestamp = uint32(row), timestamp
		if hasStores {
			context.beginRow(uint32(row), record.Key, timestamp)
		}
		if err := r.processor.Process(record, context); err != nil {
			if !context.fail(err) {
				return
			}
		} else if context.output.bytes > handOverBytes {
			context.output.handOver(context.host)
		}
	}
}

func (r *running) punctuate(id uint32, timestamp int64) error {
	context := &r.context
	punctuator, found := context.punctuator(id)
	if !found {
		return nil
	}
	context.beginPunctuation(timestamp)
	err := punctuator(timestamp, context)
	if err != nil {
		context.takeBackPunctuation()
	}
	context.end()
	return err
}

func (r *running) close() {
	if closer, ok := r.processor.(Closer); ok {
		closer.Close()
	}
}

// test asks a predicate about each record: one byte a record.
func test(function string, columns host.Batch) ([]byte, error) {
	predicate, err := predicates.find("predicate", function)
	if err != nil {
		return nil, err
	}
	answers := make([]byte, len(columns.Timestamps))
	batch, record := Batch{columns: columns}, new(Record)
	for row := range answers {
		batch.read(record, row)
		is, err := predicate(record)
		if err != nil {
			return nil, err
		}
		if is {
			answers[row] = 1
		}
	}
	return answers, nil
}

// selectKey chooses a key for each record.
func selectKey(function string, columns host.Batch) (keys []byte, keyEnds []uint32, nulls []byte, err error) {
	selector, err := keySelectors.find("key selector", function)
	if err != nil {
		return nil, nil, nil, err
	}
	batch, record := Batch{columns: columns}, new(Record)
	nulls = make([]byte, batch.Len())
	keyEnds = make([]uint32, batch.Len())
	for row := range nulls {
		batch.read(record, row)
		key, err := selector(record)
		if err != nil {
			return nil, nil, nil, err
		}
		if key == nil {
			nulls[row] = 1
		}
		keys = append(keys, key...)
		keyEnds[row] = uint32(len(keys))
	}
	return keys, keyEnds, nulls, nil
}
