package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// waitSeconds is how long one request that waits is held back at most; servers cap it further.
const waitSeconds = 30.0

// Wait blocks until the job is over - finished, failed or canceled - and returns it as it is
// then. It goes on through network failures and server restarts, with jittered pauses, until
// ctx ends; an answer of 4xx other than 408 and 429, or one that is too long, ends it at once.
func (c *Client) Wait(ctx context.Context, id JobId) (*Snapshot, error) {
	job, err := await(ctx, func(ctx context.Context) (*Snapshot, bool, error) {
		resp, err := c.api.GetJob(ctx, id, &GetJobParams{WaitSeconds: new(waitSeconds)})
		job, err := snapshotOf(resp, err, http.StatusOK)
		return job, err == nil && job.State.Over(), err
	})
	if err != nil {
		return nil, fmt.Errorf("wait for job %s: %w", id, err)
	}
	return job, nil
}

// WaitForChange blocks until the job has another ETag than a Snapshot of it, and returns it as it
// is then. It goes on as Wait does.
func (c *Client) WaitForChange(ctx context.Context, seen *Snapshot) (*Snapshot, error) {
	job, err := await(ctx, func(ctx context.Context) (*Snapshot, bool, error) {
		resp, err := c.api.GetJob(ctx, seen.Id, &GetJobParams{WaitSeconds: new(waitSeconds), IfNoneMatch: &seen.ETag})
		if err == nil && resp.StatusCode == http.StatusNotModified {
			return nil, false, resp.Body.Close()
		}
		job, err := snapshotOf(resp, err, http.StatusOK)
		return job, err == nil, err
	})
	if err != nil {
		return nil, fmt.Errorf("wait for job %s to change: %w", seen.Id, err)
	}
	return job, nil
}

// WaitForAll blocks until all of the jobs are over, and returns the state that each is in then, in
// their order. It goes on as Wait does. At most 10,000 jobs.
func (c *Client) WaitForAll(ctx context.Context, ids ...JobId) ([]JobState, error) {
	answer, err := await(ctx, func(ctx context.Context) (*JobStates, bool, error) {
		resp, err := c.api.WaitForJobs(ctx, JobsWait{Ids: ids, WaitSeconds: new(waitSeconds)})
		answer, err := decode[JobStates](resp, err, http.StatusOK)
		if err == nil && len(answer.Jobs) != len(ids) {
			err = errOtherAnswer
		}
		return answer, err == nil && answer.Over, err
	})
	if err != nil {
		return nil, fmt.Errorf("wait for %d jobs: %w", len(ids), err)
	}
	states := make([]JobState, len(answer.Jobs))
	for i := range states {
		states[i] = answer.Jobs[i].State
	}
	return states, nil
}

// await asks, with time for the answer to be held back, until it is told that this is it, or ctx
// ends, or there is no hope.
func await[T any](ctx context.Context, ask func(context.Context) (T, bool, error)) (answer T, err error) {
	backoff := newBackoff(200*time.Millisecond, 10*time.Second)
	for {
		asked := time.Now()
		answer, done, err := askOnce(ctx, ask)
		switch {
		case err == nil && done:
			return answer, nil
		case err == nil && time.Since(asked) > time.Second:
			backoff.reset()
			continue
		case ctx.Err() != nil:
			return answer, context.Cause(ctx)
		case hopeless(err), errors.Is(err, ErrAnswerTooLong):
			return answer, err
		}
		// An error, or a server that does not hold its answers back.
		if err := sleep(ctx, backoff.pause(err)); err != nil {
			return answer, err
		}
	}
}

func askOnce[T any](ctx context.Context, ask func(context.Context) (T, bool, error)) (T, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(2*waitSeconds)*time.Second)
	defer cancel()
	return ask(ctx)
}
