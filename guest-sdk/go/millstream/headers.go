package millstream

import (
	"encoding/binary"
	"iter"
)

// The length that stands for a null value.
const nullLength = ^uint32(0)

// Headers are the headers of a record, packed as in wit/types.wit. The zero value has none. With and Without make
// changed copies.
type Headers struct{ packed []byte }

// NewHeaders makes headers of keys and values in turn.
func NewHeaders(keysAndValues ...string) Headers {
	var headers Headers
	for at := 0; at+1 < len(keysAndValues); at += 2 {
		headers = headers.With(keysAndValues[at], []byte(keysAndValues[at+1]))
	}
	return headers
}

// IsEmpty says whether there is no header.
func (h Headers) IsEmpty() bool { return len(h.packed) == 0 }

// All walks over keys and values in their order. A key may occur again; a nil value is null.
func (h Headers) All() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		for rest := h.packed; len(rest) > 0; {
			var key, value []byte
			key, rest = splitField(rest)
			value, rest = splitField(rest)
			if !yield(string(key), value) {
				return
			}
		}
	}
}

// Last is the value of the last header with this key, and whether there is one.
func (h Headers) Last(key string) (value Value, found bool) {
	for name, other := range h.All() {
		if name == key {
			value, found = other, true
		}
	}
	return value, found
}

// With appends a header; others with the same key stay. A nil value is null.
func (h Headers) With(key string, value []byte) Headers {
	packed := make([]byte, len(h.packed), len(h.packed)+8+len(key)+len(value))
	copy(packed, h.packed)
	packed = binary.LittleEndian.AppendUint32(packed, uint32(len(key)))
	packed = append(packed, key...)
	if value == nil {
		packed = binary.LittleEndian.AppendUint32(packed, nullLength)
	} else {
		packed = binary.LittleEndian.AppendUint32(packed, uint32(len(value)))
		packed = append(packed, value...)
	}
	return Headers{packed}
}

// Without leaves out all headers with this key.
func (h Headers) Without(key string) Headers {
	var kept Headers
	for name, value := range h.All() {
		if name != key {
			kept = kept.With(name, value)
		}
	}
	return kept
}

// splitField splits a length and as many bytes off; nil stands for null.
func splitField(packed []byte) (field, rest []byte) {
	length := binary.LittleEndian.Uint32(packed)
	rest = packed[4:]
	if length == nullLength {
		return nil, rest
	}
	return rest[:length:length], rest[length:]
}
