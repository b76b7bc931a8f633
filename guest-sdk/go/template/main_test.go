package main

import (
	"slices"
	"testing"

	"millstream.dev/go/millstream"
	"millstream.dev/go/millstreamtest"
)

func TestEachKeyIsCountedByItself(t *testing.T) {
	test := millstreamtest.New(begin).WithStore("seen").Begin(t)
	for _, key := range []string{"ann", "bob", "ann"} {
		if err := test.Process(millstream.Record{Key: []byte(key)}); err != nil {
			t.Fatal(err)
		}
	}
	var texts []string
	for _, forwarded := range test.TakeForwarded() {
		texts = append(texts, string(forwarded.Value))
	}
	if !slices.Equal(texts, []string{"ann has come 1 times", "bob has come 1 times", "ann has come 2 times"}) {
		t.Errorf("%q", texts)
	}
}
