package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"
)

const (
	defaultRetryTimeout = 30 * time.Second
	// answerTimeout is how long one request may take before it counts as lost, and a second
	// more for each of answerRate bytes of it.
	answerTimeout = 30 * time.Second
	answerRate    = 64 << 10

	jsonType = "application/json"
)

// EnqueueOption changes how Enqueue and EnqueueBatch create jobs.
type EnqueueOption func(*creation)

// creation is one intended call that creates jobs, however often it is sent.
type creation struct {
	key   string
	trace *string
	body  []byte
}

// WithIdempotencyKey names the intended call, in place of a random name: 1 to 255 printable
// ASCII characters. Another call with the same key and the same jobs, even of another process,
// creates nothing and is answered as the first one was, for as long as the server keeps the
// key (24 h unless it was told otherwise). With other jobs it is a *Problem with
// CodeIdempotencyKeyReused.
func WithIdempotencyKey(key string) EnqueueOption {
	return func(c *creation) { c.key = key }
}

// Enqueue creates a job. When it returns nil the job is on the server's disk. If the job has a
// UniqueKey, the answer may be a job that had it before: look at Snapshot.Existing.
//
// While the server cannot be reached, or its answer is lost, the request is sent again, for
// Options.RetryTimeout or until ctx ends. All that is one intended call, which creates one job
// at most. A *Problem of 4xx says that there is none, but for 408, 425, 429 and
// CodeIdempotencyKeyInUse. After any other error the job may exist; only a call with the same
// WithIdempotencyKey can tell.
func (c *Client) Enqueue(ctx context.Context, job NewJob, options ...EnqueueOption) (*Snapshot, error) {
	call, err := c.newCreation(ctx, job, options)
	if err != nil {
		return nil, fmt.Errorf("enqueue a job of type %q: %w", job.Type, err)
	}
	created, err := repeat(ctx, c.retryTimeout, len(call.body), func(ctx context.Context) (*Snapshot, error) {
		params := &CreateJobParams{IdempotencyKey: &call.key, Traceparent: call.trace}
		resp, err := c.api.CreateJobWithBody(ctx, params, jsonType, call.reader())
		job, err := snapshotOf(resp, err, http.StatusCreated, http.StatusOK)
		if err == nil {
			job.Existing = resp.StatusCode == http.StatusOK
		}
		return job, err
	})
	if err != nil {
		return nil, fmt.Errorf("enqueue a job of type %q: %w", job.Type, err)
	}
	return created, nil
}

// EnqueueBatch creates jobs, all or none, at most 10,000. They may depend on each other: see
// Needs. The answer has them in the order given. All else is as for Enqueue.
func (c *Client) EnqueueBatch(ctx context.Context, jobs []NewJob, options ...EnqueueOption) (*CreatedJobs, error) {
	call, err := c.newCreation(ctx, NewJobs{Jobs: jobs}, options)
	if err != nil {
		return nil, fmt.Errorf("enqueue %d jobs: %w", len(jobs), err)
	}
	created, err := repeat(ctx, c.retryTimeout, len(call.body), func(ctx context.Context) (*CreatedJobs, error) {
		params := &CreateJobsParams{IdempotencyKey: &call.key, Traceparent: call.trace}
		resp, err := c.api.CreateJobsWithBody(ctx, params, jsonType, call.reader())
		created, err := decode[CreatedJobs](resp, err, http.StatusCreated)
		if err == nil && len(created.Jobs) != len(jobs) {
			err = errOtherAnswer
		}
		return created, err
	})
	if err != nil {
		return nil, fmt.Errorf("enqueue %d jobs: %w", len(jobs), err)
	}
	return created, nil
}

// ByName returns those of the jobs that the call named.
func (c *CreatedJobs) ByName() map[string]CreatedJob {
	named := make(map[string]CreatedJob)
	for _, job := range c.Jobs {
		if job.Name != nil {
			named[*job.Name] = job
		}
	}
	return named
}

// Needs makes the Needs of a NewJob: jobs of the same call to EnqueueBatch that must be over
// first, by the Name that it gives them. A Need may have a condition of its own, a name alone
// leaves that to the job's RunIf.
func Needs[N string | Need](needs ...N) *[]json.RawMessage {
	raw := make([]json.RawMessage, len(needs))
	for i := range needs {
		text, err := marshal(needs[i])
		if err != nil {
			panic(err) // strings always marshal
		}
		raw[i] = text
	}
	return &raw
}

// newCreation encodes the jobs once: the server tells a repetition from another call by the
// bytes.
func (c *Client) newCreation(ctx context.Context, jobs any, options []EnqueueOption) (*creation, error) {
	body, err := marshal(jobs)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	call := &creation{key: uuid.NewString(), body: body}
	if trace := c.traceParent(ctx); trace != "" {
		call.trace = &trace
	}
	for _, option := range options {
		option(call)
	}
	return call, nil
}

func (c *creation) reader() io.Reader { return bytes.NewReader(c.body) }

// repeat sends a request of so many bytes until it is answered, for most at most. It may be
// sent any number of times: because it has an idempotency key, or because it changes nothing.
func repeat[T any](ctx context.Context, most time.Duration, size int, once func(context.Context) (*T, error)) (*T, error) {
	backoff := newBackoff(200*time.Millisecond, 5*time.Second)
	end := time.Now().Add(most)
	for {
		attempt, cancel := context.WithTimeout(ctx, answerTimeout+time.Duration(size/answerRate)*time.Second)
		value, err := once(attempt)
		cancel()
		if err == nil || ctx.Err() != nil || !transient(err) {
			return value, err
		}
		pause := backoff.pause(err)
		if time.Now().Add(pause).After(end) {
			return nil, err
		}
		if cause := sleep(ctx, pause); cause != nil {
			return nil, fmt.Errorf("%w; the last attempt: %w", cause, err)
		}
	}
}

// transient reports whether the same request may be answered otherwise in a moment.
func transient(err error) bool {
	var problem *Problem
	switch {
	case errors.Is(err, ErrAnswerTooLong):
		return false
	case !errors.As(err, &problem):
		return true // the network's, or half an answer
	}
	switch problem.Status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	default:
		return problem.Status >= 500 || problem.Code == CodeIdempotencyKeyInUse
	}
}
