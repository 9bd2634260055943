package queue

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
)

// JobQueue is a queue of jobs with leases. All methods are safe for concurrent use.
//
// When a method returns nil its change is durable: it survives the death of the process and
// of the machine. When it returns one of the sentinel errors of this package, nothing was
// changed; but after ErrUnavailable the outcome is unknown. Any method may return ErrDamaged
// if the store cannot read what it needs. Only Dequeue watches for the end of ctx; the others
// may complete in spite of it.
//
// A token that no lease ever had is answered with ErrNotExist by every operation that takes
// one.
type JobQueue interface {
	// Enqueue adds jobs, all or none, and returns their statuses in the order given. Ids are
	// UUIDs of version 7.
	//
	// Every dependency must exist, or nothing is added: *DependencyError. A job starts as
	// Job.Admit says: Blocked while its dependencies are not over, else Scheduled until its
	// time has come, else Pending. Jobs of one priority in one lane are handed out in the
	// order in which they were added, and of those of one call in the order given.
	//
	// A job whose unique key is that of one which is not over is not added: the other one is
	// returned in its place, and takes its place in the Needs of the same call.
	//
	// *InvalidError if a job is not valid, or NewGraph refuses them.
	Enqueue(ctx context.Context, jobs []NewJob) ([]Enqueued, error)

	// Dequeue leases, of all the pending jobs of any of the types and any of the channels, the
	// one of the highest priority, and of those the one that became part of the queue first.
	// It blocks until there is one or ctx ends: ErrDequeueTimeout. It looks before it waits,
	// also when ctx is over already, which is how to ask without waiting. Waiting callers are
	// served in the order they came, and each job is handed to one of them.
	//
	// A lease may be returned although ctx has just ended; a caller that cannot use it
	// should release it.
	//
	// With request.Once a call that is repeated returns the lease that the first one did:
	// ErrLeaseLost if that is over by now, unless because of a cancel; if it was released,
	// another one is granted. ErrKeyReused; ErrKeyInUse while the first call waits.
	Dequeue(ctx context.Context, request DequeueRequest) (Lease, error)

	// DequeueByID leases one pending job out of turn, without waiting. ErrNotExist;
	// ErrNotPending if it is in any other state, canceled included. once is as for Dequeue.
	DequeueByID(ctx context.Context, id uuid.UUID, to Holder, once Once) (Lease, error)

	// RequeueOrFinishJob ends the lease. If its job was requeued fewer than maxRetries times
	// it goes back to Pending, at its old place in line; else it ends with the outcome, and
	// dependents are settled as their RunIf says, before the call returns. maxRetries 0
	// finishes. It returns the state that the job is in then.
	//
	// The same outcome again under a token whose job ended by it is answered the same and
	// changes nothing; another one is ErrAlreadyReported. ErrLeaseLost if the lease was taken back or
	// released, ErrCanceled if the job was canceled.
	RequeueOrFinishJob(ctx context.Context, token uuid.UUID, maxRetries uint64, outcome Outcome) (State, error)

	// CancelJob ends a job that is not over, and settles its dependents before it returns.
	// The lease of a running one ends; RefreshHeartbeat tells its holder. Canceling a
	// canceled job changes nothing and returns nil. ErrNotExist; ErrNotRunning if it
	// finished or failed.
	CancelJob(ctx context.Context, id uuid.UUID) error

	// JobStatus returns the job's present state. ErrNotExist.
	JobStatus(ctx context.Context, id uuid.UUID) (Status, error)

	// Job returns what was given at Enqueue. ErrNotExist.
	Job(ctx context.Context, id uuid.UUID) (Job, error)

	// IdFromToken returns the job of a lease that is not over, or that is over because its
	// job was canceled: its holder may not know yet. ErrNotExist for any other token.
	IdFromToken(ctx context.Context, token uuid.UUID) (uuid.UUID, error)

	// Heartbeats returns the tokens of the leases whose last beat is at least olderThan ago, or
	// as long ago as their job's own HeartbeatTimeout. The claim counts as a beat, and so does
	// opening the store. Leases that are over are never among them.
	Heartbeats(ctx context.Context, olderThan time.Duration) ([]uuid.UUID, error)

	// RefreshHeartbeat resets the lease's last beat to now, keeps what the beat says with the
	// job, and tells whether the job was canceled under the lease: then nothing is kept.
	// ErrLeaseLost if it is over for any other reason.
	RefreshHeartbeat(ctx context.Context, token uuid.UUID, beat Beat) (BeatAnswer, error)
}

// DequeueRequest says which jobs a worker can run.
type DequeueRequest struct {
	Types    []string // at least one
	Channels []string // none is DefaultChannel alone
	Worker   string   // a name for people, may be empty
	// Principal is who asks, as a credential tells it; empty where nobody is asked for one. It is
	// kept as it is: whoever makes principals sees to it that their names are plain text.
	Principal string
	// Labels are how the worker describes itself, for those who look at Workers.
	Labels map[string]string
	Once   Once
}

// Holder is whom leases are granted to that the request asks for.
func (r *DequeueRequest) Holder() Holder { return Holder{Worker: r.Worker, Principal: r.Principal} }

// Lanes returns every lane that the request looks in, each once.
func (r DequeueRequest) Lanes() []Lane {
	channels := r.Channels
	if len(channels) == 0 {
		channels = []string{DefaultChannel}
	}
	types := distinct(r.Types)
	channels = distinct(channels)
	lanes := make([]Lane, 0, len(channels)*len(types))
	for _, channel := range channels {
		for _, jobType := range types {
			lanes = append(lanes, Lane{Channel: channel, Type: jobType})
		}
	}
	return lanes
}

// distinct returns names without repetitions; it costs their number squared, which is bounded.
func distinct(names []string) []string {
	if len(names) < 2 {
		return names
	}
	once := make([]string, 0, len(names))
	for _, name := range names {
		if !slices.Contains(once, name) {
			once = append(once, name)
		}
	}
	return once
}
