package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"time"

	"github.com/google/uuid"
)

// The reasons for which a run is over before its handler is: the cause of the handler's
// context, found with errors.Is(context.Cause(ctx), ...).
var (
	// ErrCanceled: somebody canceled the job. Nothing about this run is accepted any more.
	ErrCanceled = errors.New("the job was canceled")
	// ErrLeaseLost: the server says that it took the lease back, which it does after the
	// heartbeat timeout. The job may be running elsewhere; nothing is reported. A server that
	// says nothing has not said so: see Run.ValidUntil.
	ErrLeaseLost = errors.New("the lease was lost")
	// ErrTimeout: the run took longer than its job allows (timeout_seconds). The server ends the
	// lease, and runs the job again if the job allows that; unless the handler returns a result
	// all the same, nothing is reported.
	ErrTimeout = errors.New("the run took too long")
	// ErrDraining: the worker is stopping and its drain timeout has passed. Unless the
	// handler returns a result all the same, the job is given back at no cost.
	ErrDraining = errors.New("the worker is draining")
	// ErrKilled: Worker.Kill was called. Nothing is reported or given back.
	ErrKilled = errors.New("the worker was killed")
)

// decode reads the answer of a generated method, which must have one of the statuses wanted.
func decode[T any](resp *http.Response, err error, want ...int) (*T, error) {
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if !slices.Contains(want, resp.StatusCode) {
		return nil, &Problem{
			Status: resp.StatusCode,
			Title:  http.StatusText(resp.StatusCode),
			Detail: fmt.Sprintf("want status %d", want[0]),
		}
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, &cutError{begin: body, err: err}
	}
	value := new(T)
	if err := json.Unmarshal(body, value); err != nil {
		return nil, fmt.Errorf("decode the answer: %w", err)
	}
	return value, nil
}

// cutError is an answer that could not be read to its end.
type cutError struct {
	begin []byte
	err   error
}

func (e *cutError) Error() string { return "read the answer: " + e.err.Error() }
func (e *cutError) Unwrap() error { return e.err }

// marshal encodes without escaping <, > and &: a report that holds HTML would grow sixfold
// and might no longer fit.
func marshal(value any) (json.RawMessage, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// calls are a worker's requests. Each is bounded in time and made once.
type calls struct {
	api     ClientInterface
	timeout time.Duration // of one request, on top of what a poll waits
	reach   *reach        // is told of the outcome of each
}

// unreadError is a lease that was granted, but whose answer could not be read: without its
// token, which stands in a header too, the job would wait until the lease is taken back.
type unreadError struct {
	token Token
	err   error
}

func (e *unreadError) Error() string { return "read a granted lease: " + e.err.Error() }
func (e *unreadError) Unwrap() error { return e.err }

// dequeue asks for a job and waits for one up to wait. It returns nil when there was none. With
// the key of a request whose answer was lost, the answer is the same.
func (c calls) dequeue(ctx context.Context, key string, request DequeueRequest, wait time.Duration) (lease *Lease, err error) {
	defer func() { c.reach.note(err) }()
	ctx, cancel := context.WithTimeout(ctx, wait+c.timeout)
	defer cancel()
	seconds := wait.Seconds()
	request.WaitSeconds = &seconds
	resp, err := c.api.Dequeue(ctx, &DequeueParams{IdempotencyKey: &key}, request)
	if err == nil && resp.StatusCode == http.StatusNoContent {
		return nil, resp.Body.Close()
	}
	lease, err = decode[Lease](resp, err, http.StatusCreated)
	if err != nil && resp != nil && resp.StatusCode == http.StatusCreated {
		if token, parseErr := uuid.Parse(path.Base(resp.Header.Get("Location"))); parseErr == nil {
			return nil, &unreadError{token: token, err: err}
		}
	}
	if err == nil && lease.Token == uuid.Nil {
		return nil, errors.New("the answer is not a lease")
	}
	return lease, err
}

// lease looks at a lease without refreshing it.
func (c calls) lease(ctx context.Context, token Token) (*Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	resp, err := c.api.GetLease(ctx, token)
	lease, err := decode[Lease](resp, err, http.StatusOK)
	c.reach.note(err)
	return lease, err
}

// heartbeat refreshes the lease, and tells the news in its body. It takes no longer than limit.
func (c calls) heartbeat(ctx context.Context, token Token, body []byte, limit time.Duration) (*HeartbeatAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, min(limit, c.timeout))
	defer cancel()
	resp, err := c.api.HeartbeatWithBody(ctx, token, jsonType, bytes.NewReader(body))
	answer, err := decode[HeartbeatAnswer](resp, err, http.StatusOK)
	if err == nil && answer.HeartbeatTimeoutSeconds == 0 {
		err = errors.New("the answer is not to a heartbeat") // but of something in between
	}
	c.reach.note(err)
	return answer, err
}

// send makes a report.
func (c calls) send(ctx context.Context, token Token, r report) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var resp *http.Response
	var err error
	switch body := bytes.NewReader(r.body); r.verb {
	case verbFinish:
		resp, err = c.api.FinishLeaseWithBody(ctx, token, jsonType, body)
	case verbFail:
		resp, err = c.api.FailLeaseWithBody(ctx, token, jsonType, body)
	case verbRelease:
		resp, err = c.api.ReleaseLeaseWithBody(ctx, token, jsonType, body)
	}
	answer, err := decode[Reported](resp, err, http.StatusOK)
	if err == nil && answer.State == "" {
		err = errors.New("the answer is not to a report") // but of something in between
	}
	c.reach.note(err)
	return err
}

// ended says what err, of a call under a lease, means for the lease: ErrCanceled or
// ErrLeaseLost if the server says that it is over, nil if that is not known. A bare 404 or 409
// does not count: a proxy whose server is away gives those too.
func ended(err error) error {
	var problem *Problem
	if !errors.As(err, &problem) {
		return nil
	}
	switch problem.Code {
	case CodeJobCanceled:
		return ErrCanceled
	case CodeLeaseLost, CodeLeaseNotFound, CodeAlreadyReported:
		return ErrLeaseLost
	default:
		return nil
	}
}

// spent reports whether the server says that what an idempotency key asked for is over: the
// lease that it was given, or was asked for by another request. A new key is needed.
func spent(err error) bool {
	return isCode(err, CodeLeaseLost) || isCode(err, CodeIdempotencyKeyReused)
}

func isCode(err error, code string) bool {
	var problem *Problem
	return errors.As(err, &problem) && problem.Code == code
}

// unacceptable reports whether the server refuses the request for what is in it, so that the
// same request has no use.
func unacceptable(err error) bool {
	var problem *Problem
	if !errors.As(err, &problem) {
		return false
	}
	switch problem.Status {
	case http.StatusRequestEntityTooLarge: // a proxy's limit counts too
		return true
	case http.StatusBadRequest, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return problem.Code != ""
	default:
		return false
	}
}

// hopeless reports whether a question will be refused again: the server understood it and
// does not want it.
func hopeless(err error) bool {
	var problem *Problem
	if !errors.As(err, &problem) || problem.Code == "" {
		return false
	}
	switch problem.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	default:
		return problem.Status >= 400 && problem.Status < 500
	}
}
