package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"strconv"
	"time"
)

// Codes of problems that programs tell apart. GET /v1/errors lists them all.
const (
	CodeInvalidRequest       = "invalid-request"
	CodeJobNotFound          = "job-not-found"
	CodeJobNotOver           = "job-not-over"
	CodeJobNotPending        = "job-not-pending"
	CodeJobNotRunning        = "job-not-running"
	CodeJobDeleted           = "job-deleted"
	CodeJobNotFailed         = "job-not-failed"
	CodeJobChanged           = "job-changed"
	CodeJobCanceled          = "job-canceled"
	CodeUniqueKeyTaken       = "unique-key-taken"
	CodeLeaseNotFound        = "lease-not-found"
	CodeLeaseLost            = "lease-lost"
	CodeAlreadyReported      = "already-reported"
	CodeDependencyNotFound   = "dependency-not-found"
	CodeDependencyFailed     = "dependency-not-succeeded"
	CodeIdempotencyKeyInUse  = "idempotency-key-in-use"
	CodeIdempotencyKeyReused = "idempotency-key-reused"
	CodeValueTooLarge        = "value-too-large"
	CodeUnavailable          = "unavailable"
)

const (
	maxProblemBytes = 64 << 10        // of a problem document; what is longer is not one of ours
	maxRetryAfter   = 5 * time.Minute // a server's wish is bounded, lest a typo stops a fleet
)

// Error makes a *Problem an error that errors.As finds. One with an empty Code was not made
// by Longshore but by something in between, such as a proxy.
func (p *Problem) Error() string {
	text := strconv.Itoa(p.Status)
	if p.Code != "" {
		text += " " + p.Code
	}
	if p.Detail != "" {
		text += ": " + p.Detail
	} else if p.Title != "" {
		text += ": " + p.Title
	}
	if p.RequestId != "" {
		text += " (request " + p.RequestId + ")"
	}
	return text
}

// RetryAfter returns how long the server that gave err asks to wait before the next attempt,
// at most five minutes; 0 when it does not say.
func RetryAfter(err error) time.Duration {
	var answer *refusedError
	if errors.As(err, &answer) {
		return answer.retryAfter
	}
	return 0
}

// refusedError is an answer that is not 2xx.
type refusedError struct {
	call       string // method and path, without a token
	problem    *Problem
	retryAfter time.Duration
}

func (e *refusedError) Error() string { return e.call + ": " + e.problem.Error() }

func (e *refusedError) Unwrap() error { return e.problem }

// refusal returns nil for an answer that is 2xx. It reads and closes the body of any other,
// and returns what it says.
func refusal(req *http.Request, resp *http.Response) error {
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	problem := &Problem{}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxProblemBytes))
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "application/problem+json" || json.Unmarshal(body, problem) != nil {
		problem = &Problem{
			Title:     http.StatusText(resp.StatusCode),
			Detail:    fmt.Sprintf("the answer, of type %q, is not Longshore's", kind),
			RequestId: resp.Header.Get("X-Request-Id"),
		}
	}
	problem.Status = resp.StatusCode
	problem.Title = hide(req, problem.Title)
	problem.Detail = hide(req, problem.Detail)
	return &refusedError{
		call:       req.Method + " " + hide(req, req.URL.Path),
		problem:    problem,
		retryAfter: parseRetryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}
}

// parseRetryAfter reads both forms of the header, a number of seconds and a date; 0 is none.
func parseRetryAfter(value string, now time.Time) time.Duration {
	var after time.Duration
	if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
		after = time.Duration(min(seconds, math.MaxInt32)) * time.Second
	} else if date, err := http.ParseTime(value); err == nil {
		after = date.Sub(now)
	}
	return max(0, min(after, maxRetryAfter))
}
