package river

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog" //nolint:depguard // River's logger is of that package
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
)

const (
	// mostOutstanding is how many jobs may be added and not yet completed. It is more than River
	// gets through between two looks at what there is to complete, so that nobody waits for it,
	// and so little that the queue stays short.
	mostOutstanding = 10_000
	// stopTimeout bounds the end of the client.
	stopTimeout = 30 * time.Second
)

// Peer is River on a database, at work.
type Peer struct {
	adding, working *pgxpool.Pool
	client          *river.Client[pgx.Tx] // works
	inserter        *river.Client[pgx.Tx] // adds, and works nothing
	worker          *worker
	events          <-chan *river.Event // of jobs that are over
	unsubscribe     func()
}

// Open puts River's schema into an empty database, and starts to work what will be added. What
// River complains about goes to log.
func Open(ctx context.Context, url string, log io.Writer) (p *Peer, err error) {
	p = &Peer{worker: &worker{started: make(chan time.Time, mostOutstanding)}}
	defer func() {
		if err != nil {
			p.closePools()
		}
	}()
	if p.working, err = pool(ctx, url, workingConnections); err != nil {
		return nil, err
	}
	if p.adding, err = pool(ctx, url, addingConnections); err != nil {
		return nil, err
	}
	if err := migrate(ctx, p.working); err != nil {
		return nil, err
	}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	workers := river.NewWorkers()
	if err := river.AddWorkerSafely(workers, p.worker); err != nil {
		return nil, fmt.Errorf("add a worker to River: %w", err)
	}
	if p.client, err = river.NewClient(riverpgxv5.New(p.working), settings(workers, logger)); err != nil {
		return nil, fmt.Errorf("make a client of River: %w", err)
	}
	if p.inserter, err = river.NewClient(riverpgxv5.New(p.adding), &river.Config{FetchCooldown: river.FetchCooldownMin, Logger: logger}); err != nil {
		return nil, fmt.Errorf("make a client of River: %w", err)
	}
	// As many events as there can be jobs: none is dropped.
	p.events, p.unsubscribe = p.client.SubscribeConfig(&river.SubscribeConfig{
		ChanSize: mostOutstanding,
		Kinds:    []river.EventKind{river.EventKindJobCompleted, river.EventKindJobFailed, river.EventKindJobCancelled},
	})
	// The client ends with Close, not with ctx, which would leave jobs behind.
	if err := p.client.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, fmt.Errorf("start River: %w", err)
	}
	return p, nil
}

func pool(ctx context.Context, url string, most int32) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = most
	return pgxpool.NewWithConfig(ctx, config)
}

func migrate(ctx context.Context, on *pgxpool.Pool) error {
	migrator, err := rivermigrate.New(riverpgxv5.New(on), nil)
	if err != nil {
		return fmt.Errorf("prepare River's schema: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("make River's schema: %w", err)
	}
	return nil
}

// Close ends River, once what is being worked is done.
func (p *Peer) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := p.client.Stop(ctx)
	p.unsubscribe()
	p.closePools()
	if err != nil {
		return fmt.Errorf("stop River: %w", err)
	}
	return nil
}

func (p *Peer) closePools() {
	for _, pool := range []*pgxpool.Pool{p.adding, p.working} {
		if pool != nil {
			pool.Close()
		}
	}
}

// completed is how many jobs are completed, as the database says.
func (p *Peer) completed(ctx context.Context) (n int64, err error) {
	err = p.working.QueryRow(ctx, "SELECT count(*) FROM river_job WHERE state = 'completed'").Scan(&n)
	return n, err
}

// args are those of a job. The text is as long as other systems' args are.
type args struct {
	Text string `json:"text"`
	// Timed asks for the time at which it is worked.
	Timed bool `json:"timed,omitempty"`
}

// Kind names the jobs to River.
func (args) Kind() string { return jobs.Type }

// newArgs makes args of a source.
func newArgs(from *jobs.Source) (a args, err error) {
	err = json.Unmarshal(from.Args(), &a.Text)
	return a, err
}

// worker does nothing, and tells when it began to if it is asked.
type worker struct {
	river.WorkerDefaults[args]

	started chan time.Time
}

// Work is what River calls.
func (w *worker) Work(ctx context.Context, job *river.Job[args]) error {
	if !job.Args.Timed {
		return nil
	}
	select {
	case w.started <- time.Now():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errNotCompleted is what becomes of a job that does nothing only if something is wrong.
var errNotCompleted = errors.New("a job was not completed")
