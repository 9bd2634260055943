package client

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// waitSeconds is how long one request of Wait is held back at most; servers cap it further.
const waitSeconds = 30.0

// Enqueue creates a job. When it returns nil the job is on the server's disk; when it returns
// an error that is not a *Problem the job may exist nevertheless, and a second call may create
// a second one.
func (c *Client) Enqueue(ctx context.Context, job NewJob) (*Job, error) {
	resp, err := c.api.CreateJob(ctx, job)
	created, err := decode[Job](resp, err, http.StatusCreated)
	if err != nil {
		return nil, fmt.Errorf("enqueue a job of type %q: %w", job.Type, err)
	}
	return created, nil
}

// Job looks at a job.
func (c *Client) Job(ctx context.Context, id JobId) (*Job, error) {
	resp, err := c.api.GetJob(ctx, id, nil)
	job, err := decode[Job](resp, err, http.StatusOK)
	if err != nil {
		return nil, fmt.Errorf("look at job %s: %w", id, err)
	}
	return job, nil
}

// Cancel cancels a job, and through it those that need its success. When it returns nil the
// job will not be handed out any more, and no report on it is accepted. A job that is over is
// not changed: that is a *Problem with CodeJobNotRunning.
func (c *Client) Cancel(ctx context.Context, id JobId) error {
	resp, err := c.api.CancelJob(ctx, id, Nothing{})
	if _, err = decode[Job](resp, err, http.StatusOK); err != nil {
		return fmt.Errorf("cancel job %s: %w", id, err)
	}
	return nil
}

// Wait blocks until the job is over - finished, failed or canceled - and returns it as it is
// then. It goes on through network failures and server restarts, with jittered pauses, until
// ctx ends; an answer of 4xx other than 408 and 429 ends it at once.
func (c *Client) Wait(ctx context.Context, id JobId) (*Job, error) {
	backoff := newBackoff(200*time.Millisecond, 10*time.Second)
	wait := waitSeconds
	for {
		asked := time.Now()
		job, err := c.look(ctx, id, &GetJobParams{WaitSeconds: &wait})
		switch {
		case err == nil && job.State.Over():
			return job, nil
		case err == nil && time.Since(asked) > time.Second:
			backoff.reset()
			continue
		case ctx.Err() != nil:
			return nil, fmt.Errorf("wait for job %s: %w", id, context.Cause(ctx))
		case hopeless(err):
			return nil, fmt.Errorf("wait for job %s: %w", id, err)
		}
		// An error, or a server that does not hold its answers back.
		if err := sleep(ctx, backoff.pause(err)); err != nil {
			return nil, fmt.Errorf("wait for job %s: %w", id, err)
		}
	}
}

// look asks once, with time for the answer to be held back.
func (c *Client) look(ctx context.Context, id JobId, params *GetJobParams) (*Job, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(2*waitSeconds)*time.Second)
	defer cancel()
	resp, err := c.api.GetJob(ctx, id, params)
	return decode[Job](resp, err, http.StatusOK)
}

// Over reports whether the state is terminal: a job that is over never changes again.
func (e JobState) Over() bool { return e == Finished || e == Failed || e == Canceled }
