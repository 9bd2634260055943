package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
	"github.com/longshore-queue/longshore/bench/internal/process"
	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/embedded"
)

// fillCommand fills a store with jobs, and prints the ids of the first and the last one.
type fillCommand struct {
	Store string `required:"true"`
	Jobs  int    `required:"true"`
	Kind  string `default:"pending" enum:"pending,finished,lanes,types,channels"`
}

// fillBatch is how many jobs are added at once.
const fillBatch = 1000

// Run fills.
func (f *fillCommand) Run(ctx context.Context, out output) (err error) {
	store, err := embedded.Open(f.Store, embedded.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	source := jobs.New("backlog")
	var (
		leased      []queue.Lease
		first, last uuid.UUID
	)
	for left := f.Jobs; left > 0 && ctx.Err() == nil; left -= fillBatch {
		batch := make([]queue.NewJob, min(left, fillBatch))
		for i := range batch {
			batch[i] = queue.NewJob{Type: jobs.Type, Args: source.Args()}
			if i%10 == 0 {
				batch[i].Labels = map[string]string{"tenth": ""}
			}
			switch f.Kind {
			case "lanes":
				batch[i].Channel, batch[i].Type = fmt.Sprint("channel-", (left+i)/100), fmt.Sprint("type-", (left+i)%100)
			case "types":
				batch[i].Type = fmt.Sprint("type-", left+i)
			case "channels":
				batch[i].Channel = fmt.Sprint("channel-", left+i)
			}
		}
		enqueued, err := store.Enqueue(ctx, batch)
		if err != nil {
			return fmt.Errorf("enqueue: %w", err)
		}
		if first == uuid.Nil {
			first = enqueued[0].ID
		}
		last = enqueued[len(enqueued)-1].ID
		if f.Kind == "finished" {
			if leased, err = exchange(ctx, store, leased, len(batch)); err != nil {
				return err
			}
		}
	}
	if len(leased) > 0 {
		if _, err := exchange(ctx, store, leased, 0); err != nil {
			return err
		}
	}
	if err := process.Rest(ctx, os.Getpid()); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out.stdout, first, last)
	return err
}

// exchange finishes jobs and leases others.
func exchange(ctx context.Context, store *embedded.Store, leased []queue.Lease, jobsWanted int) ([]queue.Lease, error) {
	reports := make([]queue.Report, len(leased))
	for i := range reports {
		reports[i] = queue.Report{Token: leased[i].Token, Result: json.RawMessage(`{"ok":true}`)}
	}
	answer, err := store.DequeueBatch(ctx, queue.BatchRequest{
		DequeueRequest: queue.DequeueRequest{Types: []string{jobs.Type}},
		Max:            max(jobsWanted, 1), Reports: reports, ReportOnly: jobsWanted == 0,
	})
	if err != nil {
		return nil, fmt.Errorf("finish jobs: %w", err)
	}
	return answer.Leases, nil
}
