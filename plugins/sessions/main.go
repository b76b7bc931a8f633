// Turns the clicks of each user into sessions: a session ends when its user has been quiet for the node's setting `gap`
// (default: 30m). Open sessions are in the store `open`; a punctuator closes those whose time is over.
package main

import (
	"time"

	"millstream.dev/go/millstream"
)

// session is what is known of a user's clicks since the last pause; times are in milliseconds.
type session struct {
	Start  int64 `json:"start"`
	End    int64 `json:"end"`
	Clicks int   `json:"clicks"`
}

type sessions struct {
	open *millstream.KeyValueStore
	gap  time.Duration
}

func newSessions(setup *millstream.Setup) (millstream.Processor, error) {
	s := &sessions{gap: 30 * time.Minute}
	var err error
	if gap, found := setup.Config["gap"]; found {
		if s.gap, err = time.ParseDuration(gap); err != nil {
			return nil, err
		}
	}
	if s.open, err = setup.Store("open"); err != nil {
		return nil, err
	}
	s.open.ReadAhead()
	_, err = setup.Schedule(s.gap/10, millstream.StreamTime, s.closeQuiet)
	return s, err
}

func (s *sessions) Process(record *millstream.Record, context *millstream.Context) error {
	if record.Key == nil {
		return millstream.DeadLetter("a click needs its user as key")
	}
	current := session{Start: record.Timestamp}
	if before := s.open.Get(record.Key); before != nil {
		if err := before.JSON(&current); err != nil {
			return err
		}
		if record.Timestamp > current.End+s.gap.Milliseconds() {
			context.Forward(record.WithValue(before).WithTimestamp(current.End))
			current = session{Start: record.Timestamp}
		}
	}
	current.Clicks++
	current.Start, current.End = min(current.Start, record.Timestamp), max(current.End, record.Timestamp)
	value, err := millstream.JSON(current)
	s.open.Put(record.Key, value)
	return err
}

// closeQuiet forwards the sessions of users who have been quiet for long enough.
func (s *sessions) closeQuiet(now int64, context *millstream.Context) error {
	for entry := range s.open.All() {
		var quiet session
		if err := entry.Value.JSON(&quiet); err != nil {
			return err
		}
		if quiet.End+s.gap.Milliseconds() < now {
			context.Forward(&millstream.Record{Key: entry.Key, Value: entry.Value, Timestamp: quiet.End})
			s.open.Put(entry.Key, nil)
		}
	}
	return nil
}

func init() { millstream.Register("sessions", newSessions) }

func main() {}
