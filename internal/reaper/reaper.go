// Package reaper takes back the leases of workers that went silent, and has jobs deleted that were
// over for long enough.
//
// It decides when to look and what to ask for, and nothing else: which leases are silent, by
// the server's timeout or by one that a job has of its own, and what becomes of their jobs, is
// the queue's business. So are runs that take too long, jobs that expire and jobs whose time
// has come: an engine sees to these by itself. Every call is fenced by the lease's
// token, so any number of servers may reap one queue at once, and a worker that reports in the
// very moment wins or loses as a whole.
package reaper

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Queue is what a Reaper asks of a queue; queue.JobQueue describes the methods.
type Queue interface {
	Heartbeats(ctx context.Context, olderThan time.Duration) ([]uuid.UUID, error)
	IdFromToken(ctx context.Context, token uuid.UUID) (uuid.UUID, error)
	Job(ctx context.Context, id uuid.UUID) (queue.Job, error)
	RequeueOrFinishJob(ctx context.Context, token uuid.UUID, maxRetries uint64, outcome queue.Outcome) (queue.State, error)
}

// Defaults, which are the origin's.
const (
	DefaultInterval         = 30 * time.Second
	DefaultHeartbeatTimeout = 120 * time.Second
	DefaultMaxRetries       = 2
)

// parallel is how many leases are reaped at once: together they share the store's syncs, so
// that hundreds of workers that die at the same moment are not reaped one sync after the
// other.
const parallel = 16

// Options say how to reap. Their zero value does not requeue at all; see the defaults.
type Options struct {
	// Interval is the time from one look to the next, and so how much longer than its timeout
	// a lease may be silent; 0 is DefaultInterval.
	Interval time.Duration
	// HeartbeatTimeout is how long a lease may be silent, unless its job says otherwise; 0 is
	// DefaultHeartbeatTimeout.
	HeartbeatTimeout time.Duration
	// MaxRetries is how often a job is requeued, unless it says so itself, before it fails.
	MaxRetries uint64
	// Logger is told of every lease that is taken back; nil for nobody.
	Logger queue.SimpleLogger
}

// Reaper looks for silent leases, again and again, from Start to Stop.
type Reaper struct {
	queue   Queue
	options Options
	ctx     context.Context // ends with Stop
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

// New makes a Reaper. It does nothing before Start.
func New(q Queue, options Options) *Reaper {
	if options.Interval == 0 {
		options.Interval = DefaultInterval
	}
	if options.HeartbeatTimeout == 0 {
		options.HeartbeatTimeout = DefaultHeartbeatTimeout
	}
	if options.Logger == nil {
		options.Logger = queue.NopLogger{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Reaper{queue: q, options: options, ctx: ctx, cancel: cancel}
}

// Start begins to look, in a goroutine, for the first time after one interval. It is called
// once. A look that comes much too late, because the process was stopped, is left out.
func (r *Reaper) Start() {
	r.done.Go(func() {
		ticker := time.NewTicker(r.options.Interval)
		defer ticker.Stop()
		looked := time.Now()
		for {
			select {
			case <-r.ctx.Done():
				return
			case <-ticker.C:
				if paused(time.Since(looked), r.options.Interval) {
					r.options.Logger.Info("the server was paused; workers get one more interval to send heartbeats")
				} else {
					r.reap()
				}
				looked = time.Now()
			}
		}
	})
}

// paused reports whether the time since the last look is so much longer than the interval that
// the process must have been stopped, or the machine. Then nobody could send a heartbeat
// either, and those that arrived meanwhile are still to be read: looking at once would take
// back every lease there is.
func paused(sinceLastLook, interval time.Duration) bool {
	return sinceLastLook > interval+interval/2
}

// Stop ends the looking and waits for the look that is under way. It may be called again, and
// without Start.
func (r *Reaper) Stop() {
	r.cancel()
	r.done.Wait()
}

// reap takes back every lease that is silent now. One that resists is logged and passed over,
// and is found again at the next look; all others are reaped all the same.
func (r *Reaper) reap() {
	tokens, err := r.queue.Heartbeats(r.ctx, r.options.HeartbeatTimeout)
	if err != nil {
		r.logFailure(err, "could not look for silent leases")
		return
	}
	var group errgroup.Group
	group.SetLimit(parallel)
	for _, token := range tokens {
		group.Go(func() error {
			r.reapOne(token)
			return nil
		})
	}
	_ = group.Wait() // reapOne has logged what went wrong
}

func (r *Reaper) reapOne(token uuid.UUID) {
	id, err := r.queue.IdFromToken(r.ctx, token)
	if errors.Is(err, queue.ErrNotExist) {
		return // its worker has reported meanwhile
	}
	if err != nil {
		r.logFailure(err, "could not look up a silent lease")
		return
	}
	maxRetries := r.options.MaxRetries
	job, err := r.queue.Job(r.ctx, id)
	if err != nil {
		// The lease is taken back all the same: a job that cannot be read must not stay
		// running for ever.
		r.logFailure(err, "could not read the job of a silent lease", "job", id.String())
	} else if job.MaxRetries != nil {
		maxRetries = *job.MaxRetries
	}
	outcome := queue.Outcome{Error: &queue.JobError{Reason: queue.ReasonHeartbeatLost}}
	state, err := r.queue.RequeueOrFinishJob(r.ctx, token, maxRetries, outcome)
	switch {
	case err == nil:
		r.options.Logger.Info("a worker went silent and its lease was taken back",
			"job", id.String(), "type", job.Type, "state", state.String(),
			"max_retries", strconv.FormatUint(maxRetries, 10))
	case errors.Is(err, queue.ErrLeaseLost), errors.Is(err, queue.ErrAlreadyReported), errors.Is(err, queue.ErrCanceled):
		// The worker, another reaper or a cancel was faster.
	default:
		r.logFailure(err, "could not take back a silent lease", "job", id.String())
	}
}

func (r *Reaper) logFailure(err error, msg string, keysAndValues ...string) {
	if r.ctx.Err() == nil { // what fails because of Stop is no failure
		r.options.Logger.Error(err, msg, keysAndValues...)
	}
}
