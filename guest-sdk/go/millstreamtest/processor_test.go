//go:build !wasip1

package millstreamtest_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"millstream.dev/go/millstream"
	"millstream.dev/go/millstream/log"
	"millstream.dev/go/millstreamtest"
)

// script carries out the words of a record's value: `k=v` puts, `get`, `delete`, `all`, `other` and `fail=` do what they
// say, with the record's key; any other word is forwarded as it is.
type script struct {
	store *millstream.KeyValueStore
	other millstream.Child
}

func newScript(setup *millstream.Setup) (millstream.Processor, error) {
	store, err := setup.Store("store")
	if err != nil {
		return nil, err
	}
	other, err := setup.Child("other")
	return &script{store.ReadAhead(), other}, err
}

func (s *script) Process(record *millstream.Record, context *millstream.Context) error {
	text, err := record.Value.Text()
	if err != nil {
		return err
	}
	for _, word := range strings.Fields(text) {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "get":
			found, err := s.store.Get(record.Key).Text()
			if err != nil {
				found = "none"
			}
			context.Forward(record.WithValue(millstream.Text(found)))
		case "delete":
			s.store.Delete(record.Key)
		case "all":
			var entries []string
			for entry := range s.store.All() {
				entries = append(entries, string(entry.Key)+string(entry.Value))
			}
			context.Forward(record.WithValue(millstream.Text(strings.Join(entries, ","))))
		case "other":
			context.ForwardTo(s.other, record)
		case "fail":
			return millstream.Skip("%s", value)
		case "retry":
			return fmt.Errorf("wrapped: %w", millstream.Retry("%s", value))
		default:
			if value != "" {
				s.store.Put([]byte(name), millstream.Text(value))
			} else {
				context.Forward(record.WithValue(millstream.Text(word)))
			}
		}
	}
	return nil
}

func begin(t *testing.T) *millstreamtest.Processor {
	return millstreamtest.New(newScript).WithStore("store").WithChildren("child", "other").Begin(t)
}

func record(key, value string) millstream.Record {
	return millstream.Record{Key: millstream.Text(key), Value: millstream.Text(value), Timestamp: 5}
}

func values(test *millstreamtest.Processor) []string {
	var values []string
	for _, forwarded := range test.TakeForwarded() {
		values = append(values, string(forwarded.Value))
	}
	return values
}

func TestABatchAndSingleRecordsGiveTheSame(t *testing.T) {
	records := []millstream.Record{
		record("a", "a=1 b=0 get"), record("b", "get b=2 all"), record("a", "delete all c=3"), record("c", "get all"),
		record("a", "a=4 all"),
	}
	single, batch := begin(t), begin(t)
	for _, record := range records {
		if err := single.Process(record); err != nil {
			t.Fatal(err)
		}
	}
	failures, err := batch.ProcessBatch(records...)
	if len(failures) > 0 || err != nil {
		t.Fatal(failures, err)
	}
	expected := []string{"1", "0", "a1,b2", "b2", "3", "b2,c3", "a4,b2,c3"}
	if got := values(single); !slices.Equal(got, expected) {
		t.Errorf("one by one: %q", got)
	}
	if got := values(batch); !slices.Equal(got, expected) {
		t.Errorf("in a batch: %q", got)
	}
	for _, key := range []string{"a", "b", "c"} {
		if string(single.Stored("store", []byte(key))) != string(batch.Stored("store", []byte(key))) {
			t.Errorf("the stores disagree about %s", key)
		}
	}
}

func TestWhatAFailedRecordDidIsTakenBackEvenAfterAScan(t *testing.T) {
	for _, spoiler := range []string{
		"a=9 new=9 x fail=no", "a=9 new=9 all fail=no", "a=9 all a=8 all new=7 fail=no", "delete all a=9 fail=no",
	} {
		test := begin(t)
		failures, err := test.ProcessBatch(
			record("a", "a=1 b=2 x"), record("b", spoiler), record("b", "delete all fail=no"), record("c", "all"))
		if err != nil || len(failures) != 2 || failures[0].Row != 1 || failures[1].Row != 2 {
			t.Fatalf("%s: %v, %v", spoiler, failures, err)
		}
		if got := values(test); !slices.Equal(got, []string{"x", "a1,b2"}) {
			t.Errorf("%s: forwarded %q", spoiler, got)
		}
		if test.Stored("store", []byte("new")) != nil || string(test.Stored("store", []byte("b"))) != "2" {
			t.Errorf("%s: the store was not set back", spoiler)
		}
	}
}

func TestAfterARecordThatMustBeTriedAgainNoOtherIsProcessed(t *testing.T) {
	test := begin(t)
	failures, _ := test.ProcessBatch(record("a", "a=1"), record("b", "b=2 retry=later"), record("c", "c=3"))
	if len(failures) != 1 || failures[0].Row != 1 || failures[0].Err.Error() != "wrapped: later" {
		t.Fatal(failures)
	}
	if test.Stored("store", []byte("a")) == nil || test.Stored("store", []byte("b")) != nil ||
		test.Stored("store", []byte("c")) != nil {
		t.Error("the first record must be done, and no other")
	}
}

func TestABatchReadsAheadAndWritesBackOnce(t *testing.T) {
	test := begin(t)
	var records []millstream.Record
	for index := range 100 {
		records = append(records, record(fmt.Sprint("k", index%10), "get a=1 get"))
	}
	if _, err := test.ProcessBatch(records...); err != nil {
		t.Fatal(err)
	}
	if test.HostCalls() != 3 {
		t.Errorf("%d calls instead of get-many, put-many, forward", test.HostCalls())
	}
}

func TestRecordsForOneChildAndForAllKeepTheirOrder(t *testing.T) {
	test := begin(t)
	if _, err := test.ProcessBatch(record("1", "other"), record("2", "x"), record("3", "other other"), record("4", "x")); err != nil {
		t.Fatal(err)
	}
	var keys string
	for _, forwarded := range test.TakeForwarded() {
		if forwarded.Child == "" || forwarded.Child == "other" {
			keys += string(forwarded.Key)
		}
	}
	if keys != "12334" {
		t.Errorf("the child saw %s", keys)
	}
}

func TestNullsHeadersAndTimestampsArePassedAlong(t *testing.T) {
	test := millstreamtest.NewFunc(func(record *millstream.Record, context *millstream.Context) error {
		context.Forward(record)
		return nil
	}).Begin(t)
	headers := millstream.NewHeaders("trace", "1", "trace", "2").With("null", nil).With("empty", []byte{})
	records := []millstream.Record{
		{Key: []byte("k"), Value: []byte{}, Timestamp: 1},
		{Timestamp: 2, Headers: headers},
		{Key: []byte{}, Timestamp: 3},
		{Value: []byte("v"), Timestamp: math.MaxInt64, Headers: headers.Without("trace")},
	}
	if _, err := test.ProcessBatch(records...); err != nil {
		t.Fatal(err)
	}
	for index, forwarded := range test.TakeForwarded() {
		if !reflect.DeepEqual(forwarded.Record, records[index]) {
			t.Errorf("record %d became %v", index, forwarded)
		}
	}
	if value, found := headers.Last("trace"); string(value) != "2" || !found {
		t.Error("the last header of a key counts")
	}
	if value, found := headers.Last("null"); value != nil || !found {
		t.Error("a null header is there")
	}
}

func TestViewsSayWhatTheyFind(t *testing.T) {
	if number, err := millstream.Value(millstream.Int64(math.MinInt64)).Int64(); number != math.MinInt64 || err != nil {
		t.Error(number, err)
	}
	if number, err := millstream.Value(millstream.Float64(-0.5)).Float64(); number != -0.5 || err != nil {
		t.Error(number, err)
	}
	if number, err := millstream.Key(millstream.Int32(-7)).Int32(); number != -7 || err != nil {
		t.Error(number, err)
	}
	var object struct{ N int }
	if err := millstream.Value(`{"n": 3}`).JSON(&object); object.N != 3 || err != nil {
		t.Error(object, err)
	}
	cases := []struct{ err, want any }{
		{second(millstream.Value("abc").Int64()), `the value has 3 bytes ("abc") where an int64 of 8 bytes is expected`},
		{second(millstream.Key(nil).Text()), "the key is null where text in UTF-8 is expected"},
		{second(millstream.Key("\xff").Text()), `the key has 1 bytes ("\xff") where text in UTF-8 is expected`},
	}
	for _, c := range cases {
		if got := c.err.(error); got.Error() != c.want || !errors.Is(got, millstream.ErrForm) {
			t.Errorf("%v instead of %v", got, c.want)
		}
	}
	if err := millstream.Value("{").JSON(&object); !errors.Is(err, millstream.ErrForm) {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestAProcessorThatCantBeginSaysWhy(t *testing.T) {
	expect := func(want string, new millstream.New) {
		t.Helper()
		err := millstreamtest.New(new).TryBegin()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v instead of %q", err, want)
		}
	}
	expect("no store `store`", newScript)
	expect(`no child `+"`x`"+`, but ["child"]`, func(setup *millstream.Setup) (millstream.Processor, error) {
		_, err := setup.Child("x")
		return nil, err
	})
	expect("setting `gap` is missing", func(setup *millstream.Setup) (millstream.Processor, error) {
		_, err := setup.RequiredConfig("gap")
		return nil, err
	})
}

// whole answers the number of records, and fails at odd rows.
type whole struct{ millstream.ProcessorFunc }

func (whole) ProcessBatch(batch *millstream.Batch, context *millstream.Context) {
	for row, record := range batch.Records() {
		goOn := context.Row(batch, row, func() error {
			context.Forward(record.WithValue(fmt.Append(nil, batch.Len())))
			if row%2 == 1 {
				return millstream.DeadLetter("odd")
			}
			return nil
		})
		if !goOn {
			return
		}
	}
}

func TestABatchProcessorSeesTheWholeBatch(t *testing.T) {
	test := millstreamtest.New(func(*millstream.Setup) (millstream.Processor, error) { return whole{}, nil }).Begin(t)
	failures, _ := test.ProcessBatch(record("a", ""), record("b", ""), record("c", ""))
	if got := values(test); !slices.Equal(got, []string{"3", "3"}) || len(failures) != 1 {
		t.Error(got, failures)
	}
}

func TestPunctuationsFireWhenTheyAreDueAndEndWhenCancelled(t *testing.T) {
	new := func(setup *millstream.Setup) (millstream.Processor, error) {
		strikes := 0
		var stream *millstream.Punctuation
		stream, err := setup.Schedule(100*time.Millisecond, millstream.StreamTime,
			func(timestamp int64, context *millstream.Context) error {
				strikes++
				if strikes == 2 {
					stream.Cancel()
				}
				metadata, found := context.Metadata()
				context.Forward(&millstream.Record{Key: fmt.Append(nil, metadata, found), Timestamp: timestamp})
				return nil
			})
		if err != nil {
			return nil, err
		}
		if _, err := setup.Schedule(0, millstream.StreamTime, nil); err == nil {
			return nil, errors.New("an interval of 0 was taken")
		}
		_, err = setup.ScheduleAt(1500, time.Second, millstream.WallClockTime,
			func(timestamp int64, context *millstream.Context) error {
				context.Forward(&millstream.Record{Key: millstream.Text("taken back"), Timestamp: timestamp})
				log.Info("strike at %d", timestamp)
				context.Commit()
				return millstream.Skip("no")
			})
		return millstream.ProcessorFunc(func(*millstream.Record, *millstream.Context) error { return nil }), err
	}
	test := millstreamtest.New(new).Begin(t)
	for _, timestamp := range []int64{7, 99, 100, 350} {
		if err := test.Process(millstream.Record{Timestamp: timestamp}); err != nil {
			t.Fatal(err)
		}
	}
	var got string
	for _, forwarded := range test.TakeForwarded() {
		got += fmt.Sprintf("%s@%d ", forwarded.Key, forwarded.Timestamp)
	}
	if got != "{ -1 -1} true@7 {  -1 -1} true@100 " && got != "{ -1 -1} true@7 { -1 -1} true@100 " {
		t.Errorf("%q", got)
	}
	if err := test.AdvanceWallClockTime(1499 * time.Millisecond); err != nil {
		t.Error(err)
	}
	if err := test.AdvanceWallClockTime(time.Millisecond); err == nil || err.Error() != "no" {
		t.Error(err)
	}
	if len(test.TakeForwarded()) > 0 || test.CommitsRequested() != 1 || !slices.Equal(test.Logged(), []string{"info: strike at 1500"}) {
		t.Error(test.CommitsRequested(), test.Logged())
	}
}

func TestStoresReadAndWriteMany(t *testing.T) {
	test := millstreamtest.New(func(setup *millstream.Setup) (millstream.Processor, error) {
		store, err := setup.Store("s")
		return millstream.ProcessorFunc(func(record *millstream.Record, context *millstream.Context) error {
			store.PutMany(millstream.Entry{Key: []byte("a"), Value: []byte{}, Timestamp: 1},
				millstream.Entry{Key: []byte("b"), Value: []byte("2"), Timestamp: 2}, millstream.Entry{Key: []byte("old")})
			values := store.GetMany([]byte("b"), []byte("none"), []byte("a"), []byte("old"))
			_, timestamp := store.GetWithTimestamp([]byte("b"))
			var walked []string
			for entry := range store.Prefix(nil, millstream.Descending) {
				walked = append(walked, string(entry.Key))
			}
			for range store.Range([]byte("b"), nil, millstream.Ascending) {
				break
			}
			absent := store.PutIfAbsent([]byte("c"), []byte("3"))
			context.Forward(record.WithValue(fmt.Appendf(nil, "%q %v %v %d %v %v %d", values[0], values[1] == nil,
				values[2] != nil && values[3] == nil, timestamp, walked, absent == nil, store.ApproximateEntries())))
			return nil
		}), err
	}).WithStore("s").Begin(t)
	test.Put("s", []byte("old"), []byte("x"))
	if err := test.Process(record("k", "v")); err != nil {
		t.Fatal(err)
	}
	if got := values(test); !slices.Equal(got, []string{`"2" true true 2 [b a] true 3`}) {
		t.Errorf("%q", got)
	}
}

func TestALargeBatchIsHandedOverInParts(t *testing.T) {
	test := begin(t)
	records := make([]millstream.Record, 30_000)
	for index := range records {
		records[index] = record(fmt.Sprint(index), fmt.Sprint("get ", index, "=v get"))
	}
	if failures, err := test.ProcessBatch(records...); len(failures) > 0 || err != nil {
		t.Fatal(failures, err)
	}
	forwarded := test.TakeForwarded()
	if len(forwarded) != 60_000 || string(forwarded[59_999].Value) != "v" || string(forwarded[59_998].Value) != "none" {
		t.Errorf("%d records", len(forwarded))
	}
}

// reforward forwards as the value's first word says; `other` and `kept` are of other rows.
func reforward(kept *millstream.Record) millstream.ProcessorFunc {
	return func(record *millstream.Record, context *millstream.Context) error {
		switch word, _, _ := strings.Cut(string(record.Value), " "); word {
		case "key":
			context.Forward(record.WithKey([]byte("new")))
		case "value":
			context.Forward(record.WithValue([]byte("new")))
		case "no-key":
			record.Key = nil
			context.Forward(record)
		case "no-value":
			context.Forward(record.WithValue(nil))
		case "equal":
			context.Forward(&millstream.Record{Key: bytes.Clone(record.Key), Value: bytes.Clone(record.Value)})
		case "part":
			context.Forward(record.WithValue(record.Value[:4]).WithKey(record.Key[1:]))
		case "swapped":
			context.Forward(&millstream.Record{Key: millstream.Key(record.Value), Value: millstream.Value(record.Key)})
		case "keep":
			*kept = *record
		case "kept":
			context.Forward(kept)
		default:
			context.Forward(record.WithTimestamp(9))
		}
		return nil
	}
}

func TestWhatIsForwardedAsItCameIsNotCopied(t *testing.T) {
	cases := []struct {
		key, value, wantKey, wantValue []byte
		copied                         int
	}{
		{[]byte("k"), []byte("as it came"), []byte("k"), []byte("as it came"), 0},
		{nil, []byte("x"), nil, []byte("x"), 0},
		{[]byte("k"), nil, []byte("k"), nil, 0},
		{nil, nil, nil, nil, 0},
		{[]byte{}, []byte{}, []byte{}, []byte{}, 0},
		{[]byte("k"), []byte("key"), []byte("new"), []byte("key"), 3},
		{nil, []byte("key"), []byte("new"), []byte("key"), 3},
		{[]byte("k"), []byte("value"), []byte("k"), []byte("new"), 3},
		{[]byte("k"), []byte("no-key"), nil, []byte("no-key"), 0},
		{[]byte{}, []byte("no-key"), nil, []byte("no-key"), 0},
		{[]byte("k"), []byte("no-value"), []byte("k"), nil, 0},
		{[]byte("k"), []byte("equal"), []byte("k"), []byte("equal"), 6},
		{[]byte("kk"), []byte("part"), []byte("k"), []byte("part"), 1},
		{[]byte("kk"), []byte("part of it"), []byte("k"), []byte("part"), 5},
		{[]byte("k"), []byte("swapped"), []byte("swapped"), []byte("k"), 8},
	}
	// Each alone, then all in one batch.
	begin := func() *millstreamtest.Processor { return millstreamtest.NewFunc(reforward(nil)).Begin(t) }
	all, together := []millstream.Record{}, begin()
	copied := 0
	for _, c := range cases {
		record, alone := millstream.Record{Key: c.key, Value: c.value, Timestamp: 5}, begin()
		if err := alone.Process(record); err != nil {
			t.Fatal(err)
		}
		if alone.CopiedBytes() != c.copied {
			t.Errorf("%q: %d bytes were copied, not %d", c.value, alone.CopiedBytes(), c.copied)
		}
		all, copied = append(all, record), copied+c.copied
	}
	if _, err := together.ProcessBatch(all...); err != nil {
		t.Fatal(err)
	}
	if together.CopiedBytes() != copied {
		t.Errorf("in a batch %d bytes were copied, not %d", together.CopiedBytes(), copied)
	}
	for index, forwarded := range together.TakeForwarded() {
		c := cases[index]
		if !reflect.DeepEqual([]byte(forwarded.Key), c.wantKey) || !reflect.DeepEqual([]byte(forwarded.Value), c.wantValue) {
			t.Errorf("%q: %q %q", c.value, forwarded.Key, forwarded.Value)
		}
	}
}

func TestRecordsOfOtherRowsAndOfNoneAreCopied(t *testing.T) {
	kept := &millstream.Record{}
	test := millstreamtest.New(func(setup *millstream.Setup) (millstream.Processor, error) {
		_, err := setup.Schedule(time.Second, millstream.WallClockTime, func(_ int64, context *millstream.Context) error {
			context.Forward(kept)
			return nil
		})
		return reforward(kept), err
	}).Begin(t)
	if _, err := test.ProcessBatch(record("first", "keep"), record("same", "kept"), record("same", "as it came")); err != nil {
		t.Fatal(err)
	}
	if test.CopiedBytes() != len("first")+len("keep") {
		t.Error(test.CopiedBytes())
	}
	if err := test.Process(record("later", "kept")); err != nil || test.CopiedBytes() != len("first")+len("keep") {
		t.Error(err, test.CopiedBytes())
	}
	if err := test.AdvanceWallClockTime(time.Second); err != nil {
		t.Error(err)
	}
	if got := values(test); !slices.Equal(got, []string{"keep", "as it came", "keep", "keep"}) {
		t.Errorf("%q", got)
	}
}

func TestAChangeInPlaceIsFound(t *testing.T) {
	test := millstreamtest.NewFunc(func(record *millstream.Record, context *millstream.Context) error {
		record.Value[0] = 'x'
		return nil
	}).Begin(t)
	defer func() {
		if reason := recover(); !strings.Contains(fmt.Sprint(reason), "changed in place") {
			t.Error(reason)
		}
	}()
	_ = test.Process(record("k", "v"))
}
