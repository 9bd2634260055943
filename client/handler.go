package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Handler does one run of a job. It returns what the job made, or an error.
//
// The result becomes the job's: a json.RawMessage as it is, anything else as encoding/json
// writes it, nil as null. An error fails the job: a *Failure in its chain chooses the reason,
// any other error has ReasonError. A panic fails it with ReasonPanic and harms nothing else.
//
// The context ends when the run is over before the handler is; context.Cause says why:
// ErrCanceled, ErrLeaseLost, ErrDraining or ErrKilled. The handler should return soon then,
// and what it returns does not matter, except that a result is still reported after
// ErrDraining. It holds one of the worker's slots until it returns.
type Handler func(ctx context.Context, run *Run) (result any, err error)

// Run is one run of a job, under one lease.
type Run struct {
	JobID   uuid.UUID
	Type    string
	Channel string
	Args    json.RawMessage // never nil: null when the job has none
	// Attempt is 1 for a job's first lease and grows with each. Hand it to systems outside
	// of the queue to tell a late write of an old lease from one of the current lease.
	Attempt int64
	// Dependencies are what became of the jobs this one depends on, in the order the
	// producer named them.
	Dependencies []Dependency
	// Adopted tells that an earlier process of this worker began the run and did not end
	// it; the lease, and Attempt, are the same.
	Adopted bool

	validUntil atomic.Pointer[time.Time]
}

// ValidUntil returns until when the lease is known to be this run's: until then nobody else
// has the job. It moves on with every heartbeat that the server answers. When it has passed,
// the server was silent for the whole heartbeat timeout: the run goes on, and its result is
// accepted unless the job was given to another worker meanwhile, which ends the context as
// soon as the server says so. A handler that is about to do what must not be done twice can
// look here first, and should hand Attempt to whoever is asked to do it.
//
// It is the zero time for a Run that no Worker made. It is safe for concurrent use.
func (r *Run) ValidUntil() time.Time {
	if until := r.validUntil.Load(); until != nil {
		return *until
	}
	return time.Time{}
}

func (r *Run) setValidUntil(until time.Time) { r.validUntil.Store(&until) }

// Reasons that a Worker gives for failures by itself.
const (
	ReasonError         = "error"          // the handler returned an error that is no *Failure
	ReasonPanic         = "panic"          // the handler panicked
	ReasonInvalidResult = "invalid-result" // the handler's result is not JSON
	ReasonRefused       = "report-refused" // the server does not take the report: too large, too deep
	ReasonUnreadable    = "lease-unreadable"
)

// Bounds of what a failure tells, so that every failure can be reported.
const (
	maxReasonBytes  = 256
	maxMessageBytes = 4 << 10
	maxStackBytes   = 8 << 10
)

// Failure is an error of a handler that says what the failed job's error is to be.
type Failure struct {
	// Reason is a short word for programs, at most 256 bytes. The server keeps
	// heartbeat-lost and dependency-failed for itself.
	Reason string
	// Details is anything that encoding/json can write, or nil.
	Details any
}

func (f *Failure) Error() string { return "job failed: " + f.Reason }

type verb uint8

const (
	verbFinish verb = iota + 1
	verbFail
	verbRelease
)

func (v verb) String() string {
	switch v {
	case verbFinish:
		return "finish"
	case verbFail:
		return "fail"
	case verbRelease:
		return "release"
	default:
		return "invalid"
	}
}

// report is what is said about a run. Its bytes never change between two attempts: the
// server tells a repetition from another report by them.
type report struct {
	verb verb
	body []byte
}

func release() report { return report{verb: verbRelease, body: []byte("{}")} }

func finish(result any) report {
	raw, isRaw := result.(json.RawMessage)
	var err error
	switch {
	case isRaw && raw == nil:
		raw = json.RawMessage("null")
	case !isRaw:
		raw, err = marshal(result)
	case !json.Valid(raw) || !utf8.Valid(raw):
		err = errors.New("a json.RawMessage that is not valid JSON in UTF-8")
	}
	if err != nil {
		return fail(ReasonInvalidResult, message(err.Error()))
	}
	// Spliced, not marshaled: encoding/json would rewrite what the handler wrote.
	body := make([]byte, 0, len(raw)+len(`{"result":}`))
	body = append(append(append(body, `{"result":`...), raw...), '}')
	return report{verb: verbFinish, body: body}
}

func fail(reason string, details any) report {
	if reason == "" {
		reason = ReasonError
	}
	raw, err := marshal(details)
	if err != nil {
		raw, err = marshal(message("the failure's details: " + err.Error()))
	}
	jobError := JobError{Reason: clip(reason, maxReasonBytes), Details: raw}
	if details == nil {
		jobError.Details = nil
	}
	body, bodyErr := marshal(FailRequest{Error: jobError})
	if err := errors.Join(err, bodyErr); err != nil {
		panic(err) // a string always marshals, and so does what was marshaled before
	}
	return report{verb: verbFail, body: body}
}

// message is the shape of a failure's details when all there is to say is a text.
func message(text string) map[string]string {
	return map[string]string{"message": clip(text, maxMessageBytes)}
}

// clip returns the beginning of text, as UTF-8 of at most limit bytes.
func clip(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

// failureOf makes a report of an error that a handler returned.
func failureOf(err error) report {
	var failure *Failure
	if errors.As(err, &failure) {
		return fail(failure.Reason, failure.Details)
	}
	return fail(ReasonError, message(err.Error()))
}

// call runs the handler to its end and makes a report of what it returned. ok tells whether
// that is a result. A panic, of the handler or of a result's MarshalJSON, and a
// runtime.Goexit end here as failures.
func call(ctx context.Context, handle Handler, run *Run, done func(r report, ok bool)) {
	r := fail(ReasonPanic, message("the handler ended its goroutine without returning"))
	ok := false
	defer func() { done(r, ok) }()
	defer func() {
		if value := recover(); value != nil {
			stack := clip(string(debug.Stack()), maxStackBytes)
			r = fail(ReasonPanic, map[string]string{
				"message": clip(fmt.Sprint(value), maxMessageBytes),
				"stack":   stack,
			})
			ok = false
		}
	}()
	result, err := handle(ctx, run)
	if err != nil {
		r = failureOf(err)
		return
	}
	r = finish(result)
	ok = r.verb == verbFinish
}
