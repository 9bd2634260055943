package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Run is one run of a job, under one lease. Its methods are safe for concurrent use, and work
// also for a Run that no Worker made, such as one of a handler's test.
type Run struct {
	JobID   uuid.UUID
	Type    string
	Channel string
	Args    json.RawMessage // never nil: null when the job has none
	// Attempt is 1 for a job's first lease and grows with each. Hand it to systems outside
	// of the queue to tell a late write of an old lease from one of the current lease.
	Attempt int64
	// Dependencies are what became of the jobs this one depends on, in the order the
	// producer named them. See also Dependency.
	Dependencies []Dependency
	Labels       map[string]string
	// TraceParent is the W3C trace context in which the job was created, or "".
	TraceParent string
	// Adopted tells that an earlier process of this worker began the run and did not end
	// it; the lease, and Attempt, are the same.
	Adopted bool

	validUntil atomic.Pointer[time.Time]
	hurry      chan struct{} // has a value when the handler wants its news sent at once
	telling    sync.Mutex    // is held while news are sent

	mu     sync.Mutex // guards untold
	untold news       // what the server has not acknowledged
}

// Dependency returns what became of the job that this one named so in its Needs; false if it
// named none so.
func (r *Run) Dependency(name string) (Dependency, bool) {
	for _, dependency := range r.Dependencies {
		if dependency.Name != nil && *dependency.Name == name {
			return dependency, true
		}
	}
	return Dependency{}, false
}

// ValidUntil returns until when the lease is known to be this run's: until then nobody else
// has the job. It moves on with every heartbeat that the server answers. When it has passed,
// the server was silent for the whole heartbeat timeout: the run goes on, and its result is
// accepted unless the job was given to another worker meanwhile, which ends the context as
// soon as the server says so. A handler that is about to do what must not be done twice can
// look here first, and should hand Attempt to whoever is asked to do it.
//
// It is the zero time for a Run that no Worker made.
func (r *Run) ValidUntil() time.Time {
	if until := r.validUntil.Load(); until != nil {
		return *until
	}
	return time.Time{}
}

func (r *Run) setValidUntil(until time.Time) { r.validUntil.Store(&until) }

// maxProgressBytes is what the contract allows for the message.
const maxProgressBytes = 1024

// Progress says how far the run has come, in percent, and in words, which may be empty. Below 0
// the percentage is left open. It goes with the next heartbeat, see Flush, and only the newest
// does; people see it with the job until it finishes, or runs again.
func (r *Run) Progress(percent float64, message string) {
	progress := &Progress{}
	if percent >= 0 { // which no NaN is
		progress.Percent = new(min(percent, 100))
	}
	if message != "" {
		progress.Message = new(clip(message, maxProgressBytes))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.untold.progress = progress
}

// PartialResult says what the run has made so far, which is like a result but is no outcome.
// It goes with the next heartbeat, as Progress does. It is an error if it cannot be written as
// JSON; one that is too long for the server is dropped and logged.
func (r *Run) PartialResult(partial any) error {
	text, err := jsonOf(partial)
	if err != nil {
		return fmt.Errorf("partial result: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.untold.partial = &text
	return nil
}

// Flush asks that what Progress and PartialResult said be sent now, and not with the next
// heartbeat, which may be a minute away. It does not wait for that, and may be called at any
// rate: at most one heartbeat a second is sent for it.
func (r *Run) Flush() {
	select {
	case r.hurry <- struct{}{}:
	default: // it was asked for already
	}
}

// news are what a run has to tell. Each part is never changed, only replaced.
type news struct {
	progress *Progress
	partial  *json.RawMessage
}

func (n news) empty() bool { return n == news{} }

// body returns the news as a heartbeat's body. The partial result is spliced, not marshaled, as
// the handler wrote it.
func (n news) body() []byte {
	body := []byte{'{'}
	if n.progress != nil {
		text, err := marshal(n.progress)
		if err != nil {
			panic(err) // a finite number and a string always marshal
		}
		body = append(append(body, `"progress":`...), text...)
	}
	if n.partial != nil {
		if len(body) > 1 {
			body = append(body, ',')
		}
		body = append(append(body, `"partial_result":`...), *n.partial...)
	}
	return append(body, '}')
}

// news returns what is untold, so that nobody needs to hurry for it.
func (r *Run) news() news {
	select {
	case <-r.hurry:
	default:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.untold
}

// told forgets news, but not newer ones.
func (r *Run) told(n news) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.untold.progress == n.progress {
		r.untold.progress = nil
	}
	if r.untold.partial == n.partial {
		r.untold.partial = nil
	}
}

// jsonOf returns a json.RawMessage as it is, and anything else as encoding/json writes it.
func jsonOf(value any) (json.RawMessage, error) {
	raw, isRaw := value.(json.RawMessage)
	switch {
	case !isRaw:
		return marshal(value)
	case raw == nil:
		return json.RawMessage("null"), nil
	case !json.Valid(raw) || !utf8.Valid(raw):
		return nil, errors.New("a json.RawMessage that is not valid JSON in UTF-8")
	default:
		return raw, nil
	}
}
