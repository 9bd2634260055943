package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	eventsPath         = "/v1/events"
	headerLastEventID  = "Last-Event-ID"
	eventKeepAlive     = 15 * time.Second // how often a client is told that the stream goes on
	mostEvents         = 1024             // of one write to one reader
	leastEvents        = 16
	eventsForAll       = 16 << 10 // of one write to each of all readers
	eventPause         = 250 * time.Microsecond
	eventPauseFrom     = 20              // readers
	eventRetryInterval = "retry: 1000\n" // milliseconds, for browsers
)

// StreamEvents answers GET /v1/events.
func (a *API) StreamEvents(ctx context.Context, request oapi.StreamEventsRequestObject) (oapi.StreamEventsResponseObject, error) {
	var (
		stream = eventStream{api: a, ctx: ctx, sealed: a.options.Authenticator != nil && !channelsOf(ctx).All()}
		params = &request.Params
		err    error
	)
	if params.Channel != nil {
		if stream.filter.Channels, err = namesOf("channel", *params.Channel); err != nil {
			return nil, err
		}
	}
	if params.Type != nil {
		if stream.filter.Types, err = namesOf("type", *params.Type); err != nil {
			return nil, err
		}
	}
	if params.Id != nil {
		if stream.filter.IDs, err = idsOf("id", *params.Id); err != nil {
			return nil, err
		}
	}
	if err := stream.filter.Validate(); err != nil {
		return nil, err
	}
	if a.stopping() {
		return nil, queue.ErrUnavailable
	}
	if params.LastEventID == nil {
		stream.after = a.queue.EventPosition()
	} else if stream.after, err = a.positions.parse(*params.LastEventID, stream.sealed); err != nil {
		return nil, err
	}
	return stream, nil
}

// eventStream is a stream of events to one reader.
type eventStream struct {
	api    *API
	ctx    context.Context // of the request: ends when the client goes away
	filter queue.EventFilter
	after  queue.EventPosition
	sealed bool // positions are told encrypted
}

// VisitStreamEventsResponse writes events until the client goes away or the server stops.
//
// All readers share what there is to write: the more there are, the fewer events each is written
// at once, and the longer it rests in between. So a thousand readers who want everything cost the
// queue little, and miss some of it; one alone keeps up.
func (s eventStream) VisitStreamEventsResponse(w http.ResponseWriter) error {
	a := s.api
	if err := a.enter(s.ctx); err != nil {
		return err
	}
	defer a.leave(s.ctx)
	a.readers.Add(1)
	defer a.readers.Add(-1)
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // or some proxies keep the events to themselves
	w.WriteHeader(http.StatusOK)
	for text := s.appendBegin(nil); ; {
		a.allowTime(w, len(text))
		if _, err := w.Write(text); err != nil {
			return nil //nolint:nilerr // the client has gone
		}
		if err := flush(w); err != nil {
			return nil //nolint:nilerr // the client has gone
		}
		readers := int(a.readers.Load())
		if len(text) > 0 && readers > eventPauseFrom && !s.rest(time.Duration(readers)*eventPause) {
			return nil
		}
		events, err := s.next(min(max(eventsForAll/readers, leastEvents), mostEvents))
		if err != nil || s.ctx.Err() != nil || a.stopping() || a.stands(s.ctx) != nil {
			return nil //nolint:nilerr // the store is closing, or the reader may not read any more; the client connects again
		}
		text = s.append(text[:0], &events)
		s.after = events.Next
	}
}

// appendBegin appends what comes before the first event: also where that will be, so that a client that loses the
// connection before goes on there. Not encrypted: whoever asks twice would see whether others did anything between.
func (s eventStream) appendBegin(b []byte) []byte {
	b = append(b, eventRetryInterval...)
	if !s.sealed {
		b = s.appendID(b, s.after)
	}
	return append(b, '\n')
}

// next waits for events, until the client should be told that the stream goes on.
func (s eventStream) next(most int) (queue.Events, error) {
	waiting, cancel := s.api.patience(s.ctx, eventKeepAlive)
	defer cancel()
	return s.api.queue.ReadEvents(waiting, s.filter, s.after, most)
}

// rest lets others do something; false if the stream should end.
func (s eventStream) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ctx.Done():
	case <-s.api.options.Stopping.Done():
	}
	return false
}

// append appends events as the stream has them; a comment if there are none.
func (s eventStream) append(b []byte, events *queue.Events) []byte {
	if events.Missed {
		b = append(b, "event: missed\n"...)
		b = s.appendID(b, queue.EventPosition{Epoch: events.Next.Epoch, Number: s.before(events)})
		b = append(b, "data: {"...)
		if events.MissedUpTo > 0 {
			b = strconv.AppendUint(append(b, `"up_to":`...), events.MissedUpTo, 10)
		}
		b = append(b, "}\n\n"...)
	}
	for i := range events.Events {
		e := &events.Events[i]
		name := "event: job\n"
		if e.Deleted {
			name = "event: deleted\n"
		}
		b = append(b, name...)
		b = s.appendID(b, queue.EventPosition{Epoch: events.Next.Epoch, Number: e.Number})
		b = append(appendEvent(append(b, "data: "...), e), "\n\n"...)
	}
	if len(b) == 0 {
		b = append(b, ":\n\n"...)
	}
	return b
}

// before is the number before the first event, or where there is none to go on from.
func (eventStream) before(events *queue.Events) uint64 {
	if len(events.Events) > 0 {
		return events.Events[0].Number - 1
	}
	return events.Next.Number
}

func (s eventStream) appendID(b []byte, at queue.EventPosition) []byte {
	return append(s.api.positions.append(append(b, "id: "...), at, s.sealed), '\n')
}

func appendEvent(b []byte, e *queue.Event) []byte {
	b = appendTime(append(b, `{"at":`...), e.At.UTC())
	b = appendInt(b, `,"attempt":`, int64(e.Attempt))
	b = appendText(append(b, `,"channel":`...), e.Lane.Channel)
	b = appendID(append(b, `,"id":`...), e.JobID)
	b = appendText(append(b, `,"state":`...), e.State.String())
	b = appendText(append(b, `,"type":`...), e.Lane.Type)
	return append(appendInt(b, `,"version":`, int64(e.Version)), '}')
}
