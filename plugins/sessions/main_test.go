package main

import (
	"testing"

	"millstream.dev/go/millstream"
	"millstream.dev/go/millstreamtest"
)

func TestASessionEndsWhenItsUserIsQuiet(t *testing.T) {
	test := millstreamtest.New(newSessions).WithStore("open").WithConfig("gap", "1s").Begin(t)
	click := func(user string, timestamp int64) {
		record := millstream.Record{Key: []byte(user), Value: []byte("{}"), Timestamp: timestamp}
		if err := test.Process(record); err != nil {
			t.Fatal(err)
		}
	}
	click("ada", 0)
	click("ada", 900)
	click("bob", 2_000)
	forwarded := test.TakeForwarded()
	if len(forwarded) != 1 || string(forwarded[0].Key) != "ada" || forwarded[0].Timestamp != 900 ||
		string(forwarded[0].Value) != `{"start":0,"end":900,"clicks":2}` {
		t.Errorf("%v", forwarded)
	}
	if test.Stored("open", []byte("ada")) != nil || test.Stored("open", []byte("bob")) == nil {
		t.Error("only bob's session is open")
	}
}
