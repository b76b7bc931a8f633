package millstream

// Record is one record. The With methods give changed copies, and what they don't change is passed along: timestamp and
// headers too, as in Kafka Streams.
//
// The bytes of a record that came in live as long as the call that brought it: copy what is to be kept (bytes.Clone).
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

// WithKey is the record with another key; nil for none.
func (r Record) WithKey(key []byte) Record {
	r.Key = key
	return r
}

// WithValue is the record with another value; nil for a tombstone.
func (r Record) WithValue(value []byte) Record {
	r.Value = value
	return r
}

// WithTimestamp is the record with another timestamp, in milliseconds since the epoch.
func (r Record) WithTimestamp(timestamp int64) Record {
	r.Timestamp = timestamp
	return r
}

// WithHeaders is the record with other headers; Headers{} for none.
func (r Record) WithHeaders(headers Headers) Record {
	r.Headers = headers
	return r
}
