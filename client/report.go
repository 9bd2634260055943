package client

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

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

// maxDelay is the longest wait that the contract allows, ten years.
const maxDelay = 315_360_000 * time.Second

// Failure is an error of a handler that says what the failed job's error is to be.
type Failure struct {
	// Reason is a short word for programs, at most 256 bytes. The server keeps a few for
	// itself, such as heartbeat-lost; the contract has them at JobError.
	Reason string
	// Details is anything that encoding/json can write, or nil.
	Details any
	// Retryable says that another run may succeed. If the job has a Retry policy with an
	// attempt left, it waits for another run instead of failing.
	Retryable bool
	// RetryAfter is how long it waits, in place of what the policy says; 0 leaves it to the
	// policy, less than 0 is at once.
	RetryAfter time.Duration
}

func (f *Failure) Error() string { return "job failed: " + f.Reason }

// Retryable makes err, which a handler returns, one that another run may not have: see
// Failure.Retryable, and Failure.RetryAfter for after. The job's error is what it would be
// without.
func Retryable(err error, after time.Duration) error {
	return &retryableError{err: err, after: after}
}

type retryableError struct {
	err   error
	after time.Duration
}

func (e *retryableError) Error() string { return e.err.Error() }
func (e *retryableError) Unwrap() error { return e.err }

// Release is an error with which a handler gives its job back, at no cost to the job: none of
// its budgets is touched. It is not handed out again before delay has passed.
func Release(delay time.Duration) error { return &releaseError{delay: delay} }

type releaseError struct{ delay time.Duration }

func (e *releaseError) Error() string { return fmt.Sprintf("the job is given back for %s", e.delay) }

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
	verb   verb
	body   []byte
	reason string // of a failure
}

func release(delay time.Duration) report {
	var request ReleaseRequest
	if delay > 0 {
		request.DelaySeconds = new(min(delay, maxDelay).Seconds())
	}
	return report{verb: verbRelease, body: mustMarshal(request)}
}

func finish(result any) report {
	raw, err := jsonOf(result)
	if err != nil {
		return fail(Failure{Reason: ReasonInvalidResult, Details: message(err.Error())})
	}
	// Spliced, not marshaled: encoding/json would rewrite what the handler wrote.
	body := make([]byte, 0, len(raw)+len(`{"result":}`))
	body = append(append(append(body, `{"result":`...), raw...), '}')
	return report{verb: verbFinish, body: body}
}

func fail(f Failure) report {
	if f.Reason == "" {
		f.Reason = ReasonError
	}
	// The contract allows every character but this one.
	reason := strings.ReplaceAll(f.Reason, "\x00", "\uFFFD")
	request := FailRequest{Error: JobError{Reason: clip(reason, maxReasonBytes)}}
	if f.Details != nil {
		details, err := marshal(f.Details)
		if err != nil {
			details = mustMarshal(message("the failure's details: " + err.Error()))
		}
		request.Error.Details = details
	}
	if f.Retryable {
		request.Retryable = &f.Retryable
		if f.RetryAfter != 0 {
			request.RetryAfterSeconds = new(min(max(f.RetryAfter, 0), maxDelay).Seconds())
		}
	}
	return report{verb: verbFail, body: mustMarshal(request), reason: request.Error.Reason}
}

// mustMarshal is for what always marshals: strings, finite numbers, and what was marshaled
// before.
func mustMarshal(value any) []byte {
	text, err := marshal(value)
	if err != nil {
		panic(err)
	}
	return text
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

// reportOf makes a report of an error that a handler returned.
func reportOf(err error) report {
	var released *releaseError
	if errors.As(err, &released) {
		return release(released.delay)
	}
	f := Failure{Reason: ReasonError, Details: message(err.Error())}
	if failure := (*Failure)(nil); errors.As(err, &failure) {
		f = *failure
	}
	if again := (*retryableError)(nil); errors.As(err, &again) {
		f.Retryable, f.RetryAfter = true, again.after
	}
	return fail(f)
}
