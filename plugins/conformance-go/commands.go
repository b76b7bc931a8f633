package main

import (
	"fmt"
	"iter"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"millstream.dev/go/millstream"
	"millstream.dev/go/millstream/log"
)

// commands is the processor `do`: it carries out the command in a record's key.
type commands struct {
	about        string
	setup        *millstream.Setup
	stores       map[string]*millstream.KeyValueStore
	punctuations map[string]*millstream.Punctuation
	remembered   int
	hoard        [][]byte
}

func newCommands(setup *millstream.Setup) (millstream.Processor, error) {
	if text, found := setup.Config["panic-init"]; found {
		panic("boom: " + text)
	}
	if reason, found := setup.Config["fail-init"]; found {
		return nil, millstream.Fatal("%s", reason)
	}
	c := &commands{
		about: describe(setup), setup: setup,
		stores: map[string]*millstream.KeyValueStore{}, punctuations: map[string]*millstream.Punctuation{},
	}
	names := setup.Stores
	if other, found := setup.Config["open"]; found {
		names = append(names, other)
	}
	for _, name := range names {
		store, err := setup.Store(name)
		if err != nil {
			return nil, err
		}
		c.stores[name] = store
	}
	if child, found := setup.Config["child"]; found {
		if _, err := setup.Child(child); err != nil {
			return nil, err
		}
	}
	if words, found := setup.Config["schedule"]; found {
		return c, c.time(strings.Split("schedule "+words, " "), setup.Context)
	}
	return c, nil
}

func (c *commands) Close() { log.Info("closed") }

func (c *commands) Process(record *millstream.Record, context *millstream.Context) error {
	if record.Key == nil {
		context.Forward(record)
		return nil
	}
	command, err := record.Key.Text()
	if err != nil {
		return err
	}
	words := strings.Split(command, " ")
	switch words[0] {
	case "text", "long", "long-text", "double", "json":
		return c.view(words[0], record, context)
	case "put", "put-at", "put-self", "get", "get-self", "stamped", "put-if-absent", "delete", "get-many", "put-many",
		"range", "reverse-range", "prefix", "reverse-prefix", "entries", "clear", "cursors", "put-sized":
		return c.access(words, record, context)
	case "schedule", "schedule-at", "cancel":
		return c.time(words, context)
	case "fail", "retry-until", "panic", "spin", "recurse", "hog":
		return c.misbehave(words, record, context)
	case "metadata", "times", "setup", "remember", "commit", "log", "log-many", "print", "print-error":
		return c.tell(words, record, context)
	default:
		return c.forward(words, record, context)
	}
}

// view sees the value as a type, and answers it changed.
func (c *commands) view(form string, record *millstream.Record, context *millstream.Context) error {
	if record.Value == nil {
		context.Forward(record)
		return nil
	}
	var answer []byte
	var err error
	switch form {
	case "text":
		var text string
		text, err = record.Value.Text()
		answer = millstream.Text(text + "!")
	case "long", "long-text":
		var number int64
		number, err = record.Value.Int64()
		if answer = millstream.Int64(^number); form == "long-text" {
			answer = strconv.AppendInt(nil, number, 10)
		}
	case "double":
		var number float64
		number, err = record.Value.Float64()
		answer = millstream.Float64(math.Copysign(number, -1))
		if math.Signbit(number) {
			answer = millstream.Float64(math.Abs(number))
		}
	case "json":
		var object map[string]any
		if err = record.Value.JSON(&object); err == nil && object == nil {
			err = fmt.Errorf("the value is null where a JSON object is expected")
		}
		if err == nil {
			object["seen"] = true
			answer, err = millstream.JSON(object)
		}
	}
	if err != nil {
		return err
	}
	context.Forward(record.WithValue(answer))
	return nil
}

// forward forwards the record, changed.
func (c *commands) forward(words []string, record *millstream.Record, context *millstream.Context) error {
	argument := strings.Join(words[1:], " ")
	switch words[0] {
	case "key":
		context.Forward(record.WithKey([]byte(argument)))
	case "null-key":
		context.Forward(record.WithKey(nil))
	case "null-value":
		context.Forward(record.WithValue(nil))
	case "at":
		timestamp, err := strconv.ParseInt(argument, 10, 64)
		if err != nil {
			return err
		}
		context.Forward(record.WithTimestamp(timestamp))
	case "headers":
		count := 0
		for range record.Headers.All() {
			count++
		}
		headers := record.Headers.Without("drop").With("count", fmt.Append(nil, count)).With("nothing", nil)
		context.Forward(record.WithHeaders(headers))
	case "header":
		value, found := record.Headers.Last(argument)
		if !found {
			value = []byte("none")
		}
		context.Forward(record.WithValue(value))
	case "bare":
		context.Forward(record.WithHeaders(millstream.Headers{}))
	case "to":
		child, err := c.setup.Child(argument)
		if err != nil {
			return err
		}
		context.ForwardTo(child, record)
	case "mixed":
		children := c.setup.Children
		first, _ := c.setup.Child(children[0])
		last, _ := c.setup.Child(children[len(children)-1])
		context.ForwardTo(first, record.WithValue([]byte("1")))
		context.Forward(record.WithValue([]byte("2")))
		context.ForwardTo(last, record.WithValue([]byte("3")))
	case "flood":
		times, err := strconv.Atoi(argument)
		for number := range times {
			context.Forward(record.WithValue(strconv.AppendInt(nil, int64(number), 10)))
		}
		return err
	case "nothing":
	default:
		return millstream.Fatal("unknown command `%s`", strings.Join(words, " "))
	}
	return nil
}

// tell says where and when, and writes to the log.
func (c *commands) tell(words []string, record *millstream.Record, context *millstream.Context) error {
	answer := ""
	switch words[0] {
	case "metadata":
		answer = metadata(context)
	case "times":
		answer = fmt.Sprint(context.StreamTime(), " ", context.WallClockTime())
	case "setup":
		answer = c.about
	case "remember":
		c.remembered++
		answer = strconv.Itoa(c.remembered)
	case "commit":
		context.Commit()
		answer = "ok"
	case "log":
		level := slices.Index([]string{"trace", "debug", "info", "warn", "error"}, words[1])
		log.Log(log.Level(level), "%s", record.Value)
		return nil
	case "log-many":
		times, err := strconv.Atoi(words[1])
		for range times {
			log.Info("%s", record.Value)
		}
		return err
	case "print":
		fmt.Println(string(record.Value))
		return nil
	case "print-error":
		fmt.Fprintln(os.Stderr, string(record.Value))
		return nil
	}
	context.Forward(record.WithValue([]byte(answer)))
	return nil
}

func (c *commands) access(words []string, record *millstream.Record, context *millstream.Context) error {
	if len(words) < 2 || c.stores[words[1]] == nil {
		return millstream.Fatal("there is no such store: `%s`", strings.Join(words, " "))
	}
	store := c.stores[words[1]]
	arguments := words[2:]
	key := []byte(strings.Join(arguments, " "))
	answer := func(value []byte) { context.Forward(record.WithValue(value)) }
	switch words[0] {
	case "put":
		store.Put(key, record.Value)
	case "put-at":
		timestamp, err := strconv.ParseInt(arguments[1], 10, 64)
		store.PutAt([]byte(arguments[0]), record.Value, timestamp)
		return err
	case "put-self":
		store.Put(record.Value, record.Value)
	case "get":
		answer(store.Get(key))
	case "get-self":
		answer(store.Get(record.Value))
	case "stamped":
		value, timestamp := store.GetWithTimestamp(key)
		if value == nil {
			answer([]byte("none"))
		} else {
			answer(fmt.Appendf(nil, "%d %s", timestamp, value))
		}
	case "put-if-absent":
		answer(store.PutIfAbsent(key, record.Value))
	case "delete":
		answer(store.Delete(key))
	case "get-many", "put-many":
		return many(words[0], store, arguments, record, answer)
	case "entries":
		answer(strconv.AppendUint(nil, store.ApproximateEntries(), 10))
	case "put-sized":
		sizedKey, err := filled(arguments[0])
		if err != nil {
			return err
		}
		value, err := filled(arguments[1])
		store.Put(sizedKey, value)
		return err
	default:
		return walk(words[0], store, arguments, answer)
	}
	return nil
}

func many(
	command string, store *millstream.KeyValueStore, words []string, record *millstream.Record, answer func([]byte),
) error {
	keys := make([][]byte, len(words))
	entries := make([]millstream.Entry, len(words))
	for index, word := range words {
		keys[index] = []byte(word)
		entries[index] = millstream.Entry{Key: keys[index], Value: record.Value, Timestamp: record.Timestamp}
	}
	if command == "put-many" {
		store.PutMany(entries...)
		return nil
	}
	texts := make([]string, len(words))
	for index, value := range store.GetMany(keys...) {
		if texts[index] = string(value); value == nil {
			texts[index] = "-"
		}
	}
	answer([]byte(strings.Join(texts, ",")))
	return nil
}

func walk(command string, store *millstream.KeyValueStore, arguments []string, answer func([]byte)) error {
	order := millstream.Ascending
	if strings.HasPrefix(command, "reverse") {
		order = millstream.Descending
	}
	switch command {
	case "range", "reverse-range":
		answer(shown(store.Range(bound(arguments[0]), bound(arguments[1]), order)))
	case "prefix", "reverse-prefix":
		answer(shown(store.Prefix([]byte(strings.Join(arguments, "")), order)))
	case "clear":
		count := 0
		for entry := range store.All() {
			store.Put(entry.Key, nil)
			count++
		}
		answer(fmt.Append(nil, count))
	case "cursors":
		count, err := strconv.Atoi(arguments[0])
		if err != nil {
			return err
		}
		for range count {
			next, stop := iter.Pull(store.All())
			defer stop()
			next()
		}
		answer([]byte("ok"))
	}
	return nil
}

func bound(word string) []byte {
	if word == "-" {
		return nil
	}
	return []byte(word)
}

func shown(entries iter.Seq[millstream.Entry]) []byte {
	var texts []string
	for entry := range entries {
		texts = append(texts, fmt.Sprintf("%s=%s@%d", entry.Key, entry.Value, entry.Timestamp))
	}
	return []byte(strings.Join(texts, " "))
}

var kinds = map[string]millstream.PunctuationType{
	"stream-time": millstream.StreamTime, "wall-clock-time": millstream.WallClockTime,
}

func (c *commands) time(words []string, context *millstream.Context) error {
	if words[0] == "cancel" {
		punctuation := c.punctuations[words[1]]
		if punctuation == nil {
			return millstream.Fatal("there is no punctuation `%s`", words[1])
		}
		punctuation.Cancel()
		return nil
	}
	name, kind := words[1], words[2]
	interval, err := strconv.ParseInt(words[len(words)-1], 10, 64)
	if err != nil {
		return err
	}
	duration := time.Duration(interval) * time.Millisecond
	punctuator := func(timestamp int64, context *millstream.Context) error {
		return c.strike(name, kind, timestamp, context)
	}
	var punctuation *millstream.Punctuation
	if words[0] == "schedule-at" {
		var start int64
		if start, err = strconv.ParseInt(words[3], 10, 64); err != nil {
			return err
		}
		punctuation, err = context.ScheduleAt(start, duration, kinds[kind], punctuator)
	} else {
		punctuation, err = context.Schedule(duration, kinds[kind], punctuator)
	}
	c.punctuations[name] = punctuation
	return err
}

// strike is what every punctuation does.
func (c *commands) strike(name, kind string, timestamp int64, context *millstream.Context) error {
	if strings.HasPrefix(name, "once") {
		c.punctuations[name].Cancel()
	}
	if plain := c.stores["plain"]; plain != nil {
		plain.PutAt([]byte(name), strconv.AppendInt(nil, timestamp, 10), timestamp)
	}
	value := fmt.Appendf(nil, "%s %d %s", kind, timestamp, metadata(context))
	context.Forward(&millstream.Record{Key: []byte(name), Value: value, Timestamp: timestamp})
	for reaction := range maps.Keys(reactions) {
		if strings.HasPrefix(name, reaction) {
			return reactions[reaction]("%s", name)
		}
	}
	if strings.HasPrefix(name, "panic") {
		panic("boom: " + name)
	}
	return nil
}

var reactions = map[string]func(string, ...any) error{
	"skip": millstream.Skip, "dead-letter": millstream.DeadLetter, "retry": millstream.Retry, "fatal": millstream.Fatal,
}

func (c *commands) misbehave(words []string, record *millstream.Record, context *millstream.Context) error {
	context.Forward(record)
	if plain := c.stores["plain"]; plain != nil {
		plain.Put([]byte("failed"), []byte("1"))
	}
	switch words[0] {
	case "fail":
		return reactions[words[1]]("%s", record.Value)
	case "retry-until":
		until, err := strconv.ParseInt(words[1], 10, 64)
		if err == nil && context.WallClockTime() < until {
			err = millstream.Retry("not yet")
		}
		return err
	case "panic":
		panic(fmt.Sprintf("boom: %s", record.Value))
	case "spin":
		for {
		}
	case "recurse":
		return millstream.Fatal("depth %d", recurse(0))
	default:
		mebibytes, err := strconv.Atoi(words[1])
		hoard := make([]byte, mebibytes<<20)
		for at := range hoard {
			hoard[at] = 1
		}
		c.hoard = append(c.hoard, hoard)
		context.Forward(record.WithValue([]byte("ok")))
		return err
	}
}

func recurse(depth int) int { return recurse(depth+1) + 1 }

func describe(setup *millstream.Setup) string {
	list := func(words []string) string {
		if len(words) == 0 {
			return "-"
		}
		return strings.Join(words, ",")
	}
	var settings []string
	for _, key := range slices.Sorted(maps.Keys(setup.Config)) {
		settings = append(settings, key+"="+setup.Config[key])
	}
	return strings.Join([]string{
		setup.Processor, setup.Node, setup.Task, list(setup.Children), list(setup.Stores), list(settings),
	}, " ")
}

func metadata(context *millstream.Context) string {
	found, _ := context.Metadata()
	return fmt.Sprintf("%s/%d/%d", found.Topic, found.Partition, found.Offset)
}
