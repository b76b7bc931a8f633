package millstream

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// Key is the bytes of a key, with views of them as the types that Kafka's serializers write. Nil is null, which is not
// the same as empty. Keys and []byte can be used in each other's place.
type Key []byte

// Value is the bytes of a value, of a record or in a store, with views of them as the types that Kafka's serializers
// write. Nil is null (a tombstone, nothing in the store), which is not the same as empty. Values and []byte can be used in
// each other's place.
type Value []byte

// Text sees the key as Kafka's StringSerializer writes it: UTF-8.
func (k Key) Text() (string, error) { return viewText("key", k) }

// Int64 sees the key as Kafka's LongSerializer writes it: 8 bytes, big-endian.
func (k Key) Int64() (int64, error) { return viewInt64("key", k) }

// Int32 sees the key as Kafka's IntegerSerializer writes it: 4 bytes, big-endian.
func (k Key) Int32() (int32, error) { return viewInt32("key", k) }

// Float64 sees the key as Kafka's DoubleSerializer writes it: 8 bytes, big-endian.
func (k Key) Float64() (float64, error) { return viewFloat64("key", k) }

// JSON reads the key into what target points to, as json.Unmarshal.
func (k Key) JSON(target any) error { return viewJSON("key", k, target) }

// Text sees the value as Kafka's StringSerializer writes it: UTF-8.
func (v Value) Text() (string, error) { return viewText("value", v) }

// Int64 sees the value as Kafka's LongSerializer writes it: 8 bytes, big-endian.
func (v Value) Int64() (int64, error) { return viewInt64("value", v) }

// Int32 sees the value as Kafka's IntegerSerializer writes it: 4 bytes, big-endian.
func (v Value) Int32() (int32, error) { return viewInt32("value", v) }

// Float64 sees the value as Kafka's DoubleSerializer writes it: 8 bytes, big-endian.
func (v Value) Float64() (float64, error) { return viewFloat64("value", v) }

// JSON reads the value into what target points to, as json.Unmarshal.
func (v Value) JSON(target any) error { return viewJSON("value", v, target) }

// Text writes a text as Kafka's StringSerializer does.
func Text(text string) []byte { return append([]byte{}, text...) }

// Int64 writes a number as Kafka's LongSerializer does: 8 bytes, big-endian.
func Int64(number int64) []byte {
	bytes := make([]byte, 8)
	binary.BigEndian.PutUint64(bytes, uint64(number))
	return bytes
}

// Int32 writes a number as Kafka's IntegerSerializer does: 4 bytes, big-endian.
func Int32(number int32) []byte {
	bytes := make([]byte, 4)
	binary.BigEndian.PutUint32(bytes, uint32(number))
	return bytes
}

// Float64 writes a number as Kafka's DoubleSerializer does: 8 bytes, big-endian.
func Float64(number float64) []byte {
	bytes := make([]byte, 8)
	binary.BigEndian.PutUint64(bytes, math.Float64bits(number))
	return bytes
}

// JSON writes anything as JSON, as json.Marshal.
func JSON(anything any) ([]byte, error) { return json.Marshal(anything) }

// ErrForm is in the chain of the errors that say that a key or a value has another form than the one asked for.
var ErrForm = errors.New("it has another form")

// formError says which form was expected of what.
type formError struct{ text string }

func (e *formError) Error() string { return e.text }

func (e *formError) Is(target error) bool { return target == ErrForm }

// How many bytes an error shows.
const shownBytesMax = 32

func unlike(part string, bytes []byte, form string) error {
	switch {
	case bytes == nil:
		return &formError{fmt.Sprintf("the %s is null where %s is expected", part, form)}
	case len(bytes) > shownBytesMax:
		text := fmt.Sprintf("the %s has %d bytes (%q...) where %s is expected", part, len(bytes), bytes[:shownBytesMax], form)
		return &formError{text}
	default:
		return &formError{fmt.Sprintf("the %s has %d bytes (%q) where %s is expected", part, len(bytes), bytes, form)}
	}
}

func viewText(part string, bytes []byte) (string, error) {
	if bytes == nil || !utf8.Valid(bytes) {
		return "", unlike(part, bytes, "text in UTF-8")
	}
	return string(bytes), nil
}

func viewInt64(part string, bytes []byte) (int64, error) {
	if len(bytes) != 8 {
		return 0, unlike(part, bytes, "an int64 of 8 bytes")
	}
	return int64(binary.BigEndian.Uint64(bytes)), nil
}

func viewInt32(part string, bytes []byte) (int32, error) {
	if len(bytes) != 4 {
		return 0, unlike(part, bytes, "an int32 of 4 bytes")
	}
	return int32(binary.BigEndian.Uint32(bytes)), nil
}

func viewFloat64(part string, bytes []byte) (float64, error) {
	if len(bytes) != 8 {
		return 0, unlike(part, bytes, "a float64 of 8 bytes")
	}
	return math.Float64frombits(binary.BigEndian.Uint64(bytes)), nil
}

func viewJSON(part string, bytes []byte, target any) error {
	// RFC 8259 wants UTF-8; encoding/json would replace what is none.
	if bytes == nil || !utf8.Valid(bytes) {
		return unlike(part, bytes, "JSON")
	}
	if err := json.Unmarshal(bytes, target); err != nil {
		return fmt.Errorf("%w: %w", unlike(part, bytes, "other JSON"), err)
	}
	return nil
}
