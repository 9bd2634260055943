package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"
)

// The kinds of an Event.
const (
	EventJob     = "job"     // a job was created or has changed, as Job says
	EventDeleted = "deleted" // a job was deleted, as Job says it was
	EventMissed  = "missed"  // some events before the next one are lost: look at the jobs themselves
)

// Event is one event of a stream.
type Event struct {
	Kind   string
	ID     string   // for StreamEventsParams.LastEventID, to go on after this event
	Job    JobEvent // zero if Kind is EventMissed
	Missed MissedEvents
}

// maxEventLine is the longest line of a stream that is read, in bytes.
const maxEventLine = 64 << 10

// eventSilence is how long nothing at all may come on a stream before it counts as dead: the server
// tells every 15 s that it goes on.
const eventSilence = 45 * time.Second

// Events watches jobs change. It connects again, and goes on after the last event that it has seen,
// through network failures and server restarts, with jittered pauses, until ctx ends; an answer of
// 4xx other than 408 and 429 ends it at once. An error is the last pair, and has no event.
//
// Where it has seen none yet it goes on from where the stream began, if the server has told that. It does
// not to a credential for some channels only; then there is an EventMissed, which has no ID.
func (c *Client) Events(ctx context.Context, params StreamEventsParams) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		params := params
		backoff := newBackoff(200*time.Millisecond, 10*time.Second)
		broken := false // a stream was there, and is not any more
		for {
			begun := func() bool {
				again := broken
				broken = true
				return !again || params.LastEventID != nil || yield(&Event{Kind: EventMissed}, nil)
			}
			more, err := c.streamOnce(ctx, &params, begun, func(e *Event) bool {
				if e.ID != "" {
					params.LastEventID = &e.ID
				}
				if e.Kind == "" {
					return true
				}
				backoff.reset()
				return yield(e, nil)
			})
			if !more {
				return
			}
			if ctx.Err() == nil && !hopeless(err) {
				err = sleep(ctx, backoff.pause(err))
			}
			if err != nil {
				yield(nil, fmt.Errorf("watch jobs: %w", err))
				return
			}
		}
	}
}

// streamOnce passes on the events of one connection once that has begun, ids that stand alone too, and tells
// whether more are wanted.
func (c *Client) streamOnce(ctx context.Context, params *StreamEventsParams, begun func() bool, use func(*Event) bool) (more bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(eventSilence, cancel)
	defer silence.Stop()
	resp, err := c.api.StreamEvents(ctx, params)
	if err != nil {
		return true, err
	}
	if resp.StatusCode != http.StatusOK {
		_, err := decode[struct{}](resp, nil, http.StatusOK)
		return true, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	silence.Stop()          // as below
	if !begun() {
		return false, nil
	}
	silence.Reset(eventSilence)
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEventLine)
	e := new(Event)
	for ; lines.Scan(); silence.Reset(eventSilence) {
		silence.Stop() // what is done with an event may take its time
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "event":
			e.Kind = value
		case "id":
			e.ID = value
		case "data":
			into := any(&e.Job)
			if e.Kind == EventMissed {
				into = &e.Missed
			}
			if err := json.Unmarshal([]byte(value), into); err != nil {
				return true, fmt.Errorf("read an event: %w", err)
			}
		case "":
			if !use(e) {
				return false, nil
			}
			e = new(Event)
		}
	}
	return true, lines.Err()
}
