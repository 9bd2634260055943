package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/client"
)

// callers is how many requests are under way at once.
const callers = 16

// jobs are what was submitted: one job a source, in the same order, and the one that merges.
type jobs struct {
	client *client.Client
	batch  []client.NewJob // all of them, in one call
	key    string          // of that call: sent again it creates nothing
	ids    []client.JobId
	merge  client.JobId
	over   atomic.Int64 // counting jobs that are known to be over
}

// countArgs are the args of a counting job. See commands/count.sh, which depends on the order.
type countArgs struct {
	Path          string `json:"path"`
	LingerSeconds int    `json:"linger_seconds,omitempty"`
}

// submit creates the jobs, the whole graph in one call. The first one lingers, for so many
// seconds at most.
func submit(ctx context.Context, c *client.Client, sources []source, linger int) (*jobs, error) {
	j := &jobs{client: c, key: uuid.NewString()}
	names := make([]string, len(sources))
	for i, s := range sources {
		args := countArgs{Path: s.name}
		if i == 0 {
			args.LingerSeconds = linger // the first in line
		}
		raw, err := json.Marshal(args)
		if err != nil {
			return nil, err
		}
		names[i] = fmt.Sprintf("file-%d", i+1)
		j.batch = append(j.batch, client.NewJob{Name: &names[i], Type: "count", Args: raw})
	}
	// A file that cannot be read fails its job; the others are merged nevertheless.
	j.batch = append(j.batch, client.NewJob{Type: "merge", Needs: client.Needs(names...), RunIf: new(client.AllFinished)})
	ids, err := j.create(ctx)
	if err != nil {
		return nil, err
	}
	j.ids, j.merge = ids[:len(sources)], ids[len(sources)]
	return j, nil
}

// create makes the call, and returns the ids in the order of the batch.
func (j *jobs) create(ctx context.Context) ([]client.JobId, error) {
	created, err := j.client.EnqueueBatch(ctx, j.batch, client.WithIdempotencyKey(j.key))
	if err != nil {
		return nil, err
	}
	if len(created.Jobs) != len(j.batch) {
		return nil, fmt.Errorf("%d jobs were submitted, and %d created", len(j.batch), len(created.Jobs))
	}
	ids := make([]client.JobId, len(created.Jobs))
	for i, job := range created.Jobs {
		ids[i] = job.Id
	}
	return ids, nil
}

// again makes the call once more, as somebody does who never got the answer, and returns an
// error unless that changes nothing.
func (j *jobs) again(ctx context.Context) error {
	ids, err := j.create(ctx)
	if err != nil {
		return err
	}
	if !slices.Equal(ids, j.all()) {
		return errors.New("the same call with the same key was answered with other jobs")
	}
	known := 0
	for _, err := range j.client.List(ctx) {
		if err != nil {
			return err
		}
		known++
	}
	if known != len(ids) {
		return fmt.Errorf("%d jobs were submitted, and the server knows %d", len(ids), known)
	}
	return nil
}

// all returns every id: the counting jobs in order, then the merging one.
func (j *jobs) all() []client.JobId {
	return append(append([]client.JobId(nil), j.ids...), j.merge)
}

// look asks for every job, in the order of all.
func (j *jobs) look(ctx context.Context) ([]client.Job, error) {
	ids := j.all()
	seen := make([]client.Job, len(ids))
	err := each(ctx, len(ids), func(ctx context.Context, i int) error {
		job, err := j.client.Job(ctx, ids[i])
		if err != nil {
			return err
		}
		seen[i] = job.Job
		return nil
	})
	return seen, err
}

// await waits until every counting job is over, through a restart of the server.
func (j *jobs) await(ctx context.Context) error {
	return each(ctx, len(j.ids), func(ctx context.Context, i int) error {
		if _, err := j.client.Wait(ctx, j.ids[i]); err != nil {
			return err
		}
		j.over.Add(1)
		return nil
	})
}

// tally says how many of the jobs are in which state, in the order of a job's life.
func tally(seen []client.Job) string {
	var b bytes.Buffer
	for _, state := range []client.JobState{
		client.Scheduled, client.Blocked, client.Pending, client.Running, client.Finished, client.Failed, client.Canceled,
	} {
		n := 0
		for i := range seen {
			if seen[i].State == state {
				n++
			}
		}
		if n > 0 {
			if b.Len() > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%d %s", n, state)
		}
	}
	return b.String()
}

// kept returns an error for the first job that is not after the restart what it was before it.
func (j *jobs) kept(before, after []client.Job) error {
	for i := range after {
		was, is := before[i], after[i]
		switch {
		case !bytes.Equal(is.Args, was.Args) || i < len(j.ids) && !bytes.Equal(is.Args, j.batch[i].Args):
			return fmt.Errorf("job %s had the args %s, and has %s now", is.Id, j.batch[i].Args, is.Args)
		case len(is.Dependencies) != len(was.Dependencies):
			return fmt.Errorf("job %s had %d dependencies, and has %d now", is.Id, len(was.Dependencies), len(is.Dependencies))
		case is.Attempt < was.Attempt:
			return fmt.Errorf("job %s had %d attempts, and has %d now", is.Id, was.Attempt, is.Attempt)
		case was.State.Over() && (is.State != was.State || !bytes.Equal(is.Result, was.Result)):
			return fmt.Errorf("job %s was %s with %s, and is %s with %s now", is.Id, was.State, was.Result, is.State, is.Result)
		}
	}
	return nil
}

// each calls do for 0 to n-1, a few at once, until one fails. It returns the first error.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(callers, n) {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// newClient returns a client of the server, with a connection for each of the callers.
func newClient(address string) (*client.Client, error) {
	return client.New("http://"+address, client.Options{
		HTTPClient: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}},
		UserAgent:  "longshore-demo",
	})
}

// poll calls look until it says that it saw what it was looking for.
func poll(ctx context.Context, look func() (bool, error)) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		if found, err := look(); found || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// result is what commands/count.sh says.
type result struct {
	Worker string `json:"worker"`
}

// countedBy returns the name of the worker whose result a job has.
func countedBy(job *client.Snapshot) (string, error) {
	var r result
	if err := json.Unmarshal(job.Result, &r); err != nil {
		return "", fmt.Errorf("read the result of job %s: %w", job.Id, err)
	}
	if r.Worker == "" {
		return "", errors.New("the result names no worker")
	}
	return r.Worker, nil
}
