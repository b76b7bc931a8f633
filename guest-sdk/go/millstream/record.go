package millstream

// Record is one record. The With methods give changed copies, and what they don't change is passed along: timestamp and
// headers too, as in Kafka Streams.
//
// A record that came in, and its bytes, live as long as the call that brought it: copy what is to be kept (bytes.Clone).
// Its bytes must not be changed in place: the host has them too, and a key or a value that is forwarded as it came is not
// copied to it.
type Record struct {
	// Key is nil if there is no key.
	Key Key
	// Value is nil if there is none: a tombstone.
	Value Value
	// Timestamp is in milliseconds since the epoch, and not negative.
	Timestamp int64
	// Headers are the record's headers.
	Headers Headers
}

// Each With function names all fields: copying a whole Record is a call into the Wasm runtime, and several fields are not.

// WithKey is the record with another key; nil for none.
func (r *Record) WithKey(key []byte) *Record {
	return &Record{Key: key, Value: r.Value, Timestamp: r.Timestamp, Headers: Headers{r.Headers.packed}}
}

// WithValue is the record with another value; nil for a tombstone.
func (r *Record) WithValue(value []byte) *Record {
	return &Record{Key: r.Key, Value: value, Timestamp: r.Timestamp, Headers: Headers{r.Headers.packed}}
}

// WithTimestamp is the record with another timestamp, in milliseconds since the epoch.
func (r *Record) WithTimestamp(timestamp int64) *Record {
	return &Record{Key: r.Key, Value: r.Value, Timestamp: timestamp, Headers: Headers{r.Headers.packed}}
}

// WithHeaders is the record with other headers; Headers{} for none.
func (r *Record) WithHeaders(headers Headers) *Record {
	return &Record{Key: r.Key, Value: r.Value, Timestamp: r.Timestamp, Headers: Headers{headers.packed}}
}
