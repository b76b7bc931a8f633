// Package millstream is what Millstream processors are written with in Go.
//
// A plugin is a main package that registers its processors:
//
//	package main
//
//	import (
//		"strings"
//
//		"millstream.dev/go/millstream"
//	)
//
//	// Splits a text into words.
//	func split(record *millstream.Record, context *millstream.Context) error {
//		text, err := record.Value.Text()
//		if err != nil {
//			return millstream.DeadLetter("the line: %w", err)
//		}
//		for _, word := range strings.Fields(text) {
//			context.Forward(record.WithKey([]byte(word)).WithValue([]byte(word)))
//		}
//		return nil
//	}
//
//	func init() { millstream.RegisterFunc("split", split) }
//
//	func main() {}
//
// `millstream build` compiles it with the ordinary Go tool chain and makes a component of it. Processors are registered in
// an init function: the host never calls main, so what is registered there is not in the plugin.
//
// Records come in batches, in packed columns, and the SDK shows them one by one without copying. What a processor forwards
// is collected in columns and crosses to the host once a batch. Stores behave as if every access went to the host at once,
// but writes of a batch go back together, and with KeyValueStore.ReadAhead its reads come together.
//
// Goroutines, channels and the whole standard library may be used, as far as they need no file, network or environment:
// a plugin is granted none. A goroutine that outlives the call that started it sleeps until the next call.
//
// The same processor runs in a native unit test, without Wasm: see package millstreamtest.
package millstream
