package api

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Queue is what the edge needs of an engine: the ten operations, and those beside them that
// its routes stand for. All methods are safe for concurrent use, and what queue.JobQueue says of
// durability, of its errors and of unknown tokens holds for all of them.
type Queue interface {
	queue.JobQueue

	// EnqueueOnce is Enqueue, made idempotent: the same once again adds nothing and returns
	// the same statuses, as they were when the jobs were added and Repeated, for as long as the
	// engine remembers the key. A call that failed has not used its key. ErrKeyReused;
	// ErrKeyInUse while the first call is under way; the errors of Enqueue.
	EnqueueOnce(ctx context.Context, jobs []queue.NewJob, once queue.Once) ([]queue.Enqueued, error)

	// EnqueuedOnce returns what EnqueueOnce has answered to the same once, as if it was called again;
	// nil if the key is not known. ErrKeyReused; ErrKeyInUse while the first call is under way.
	EnqueuedOnce(ctx context.Context, once queue.Once) ([]queue.Enqueued, error)

	// DequeueBatch takes reports on leases, each with an outcome of its own, and leases up to
	// request.Max jobs, in one change. If no job is ready it waits as Dequeue does, and then
	// leases one; the end of ctx is no error, and the reports are taken before the wait. With
	// request.Once a call that is repeated returns the leases of the first one that are still
	// held. ErrKeyReused, ErrKeyInUse, ErrLeaseLost as for Dequeue; with request.Strict also the
	// error of the first report that is refused; *InvalidError.
	DequeueBatch(ctx context.Context, request queue.BatchRequest) (queue.BatchAnswer, error)

	// Fail ends a lease whose worker could not do its job: the job waits for another run, or
	// has failed, as Record.Fail says, and in the latter case its dependents are settled
	// before the call returns. It returns the state that the job is in then. The same failure
	// again is answered the same, another report is ErrAlreadyReported. ErrNotExist,
	// ErrLeaseLost, ErrCanceled.
	Fail(ctx context.Context, token uuid.UUID, failure queue.Failure) (queue.State, error)

	// Release ends a lease and puts its job back in line, at its old place and at no cost;
	// it is not handed out again before delay has passed. The same again is answered the
	// same. When the job was canceled meanwhile there is nothing to give back, and the state
	// says so. ErrNotExist, ErrLeaseLost.
	Release(ctx context.Context, token uuid.UUID, delay time.Duration) (queue.State, error)

	// Lease returns a lease without refreshing it. One that ended because its job was
	// canceled is returned with Canceled set. ErrNotExist, ErrLeaseLost.
	Lease(ctx context.Context, token uuid.UUID) (queue.Lease, error)

	// WholeLease is Lease, and nothing of it is withheld: it may be queue.MaxDependencyBytes long.
	WholeLease(ctx context.Context, token uuid.UUID) (queue.Lease, error)

	// Await blocks until the job is over or ctx ends, and returns its status at that
	// moment; the end of ctx is no error. ErrNotExist.
	Await(ctx context.Context, id uuid.UUID) (queue.Status, error)

	// AwaitChange blocks until the job has another version or ctx ends, and returns its status at
	// that moment; the end of ctx is no error. ErrNotExist.
	AwaitChange(ctx context.Context, id uuid.UUID, version uint64) (queue.Status, error)

	// AwaitAll blocks until all of the jobs are over or ctx ends, and returns their states at
	// that moment; the end of ctx is no error. *queue.NotExistError.
	AwaitAll(ctx context.Context, ids []uuid.UUID) ([]queue.State, error)

	// AwaitLease blocks until the lease is over, as one is that never was, or ctx ends, which is
	// no error.
	AwaitLease(ctx context.Context, token uuid.UUID) error

	// RetryJob begins a new generation of a job that failed or was canceled, as Job.Renew
	// says, and of the jobs that are over because of it, before the call returns. ErrNotExist,
	// ErrNotFailed; ErrUniqueKeyTaken if another job that is not over has its unique key.
	RetryJob(ctx context.Context, id uuid.UUID) error

	// DeleteJob deletes a job that is over, so that nobody finds it any more; dependents that
	// are not over are handed its result all the same. ErrNotExist, ErrNotOver.
	DeleteJob(ctx context.Context, id uuid.UUID) error

	// CancelJobs cancels those of at most queue.MaxStep jobs that are not over, in one change, and
	// returns how many that were.
	CancelJobs(ctx context.Context, ids []uuid.UUID) (changed int, err error)

	// DeleteJobs deletes those of at most queue.MaxStep jobs that are over, in one change, and
	// returns how many that were.
	DeleteJobs(ctx context.Context, ids []uuid.UUID) (changed int, err error)

	// UpdateJob changes a job that waits, as Record.Update says. ErrNotExist, ErrNotPending,
	// ErrChanged, *InvalidError.
	UpdateJob(ctx context.Context, id uuid.UUID, update queue.Update) error

	// ListJobs returns a page of jobs, newest first. Each job is as it was at some moment of
	// the call.
	ListJobs(ctx context.Context, listing queue.Listing) (queue.Page, error)

	// Attempts returns the leases that a job has had, in their order. ErrNotExist.
	Attempts(ctx context.Context, id uuid.UUID) ([]queue.Attempt, error)

	// Explain says why a job is not running, or what else it does. ErrNotExist.
	Explain(ctx context.Context, id uuid.UUID) (queue.Explanation, error)

	// ChannelsOf returns the channel of each job, "" of one that does not exist. One that was just
	// deleted may have its channel yet. It never changes.
	ChannelsOf(ctx context.Context, ids []uuid.UUID) ([]string, error)

	// LeaseChannels returns the channel of the job of each lease, be it live or over. A token that
	// no lease ever had may have any, or "".
	LeaseChannels(ctx context.Context, tokens []uuid.UUID) ([]string, error)

	// Queues returns a page of the lanes that have jobs, with exact counts, at a cost that does
	// not grow with the jobs. *InvalidError.
	Queues(ctx context.Context, listing queue.LaneListing) (queue.LanePage, error)

	// OpenJobs returns how much each of the channels has of jobs that are not over, at a cost that
	// does not grow with the jobs; one that has none may be left out.
	OpenJobs(ctx context.Context, channels []string) (map[string]queue.Amount, error)

	// Demand returns how many ready jobs a worker could take now. *InvalidError.
	Demand(ctx context.Context, demand queue.Demand) (queue.DemandAnswer, error)

	// Workers returns a page of those who asked for jobs within queue.WorkerMemory, or hold
	// leases.
	Workers(ctx context.Context, listing queue.WorkerListing) (queue.WorkerPage, error)

	// EventPosition returns the position after all events so far.
	EventPosition() queue.EventPosition

	// ReadEvents blocks until there are events after a position that the filter means, and returns
	// some of them, all of which are durable; none if ctx ends. A position of another epoch has
	// missed what happened since. *InvalidError.
	ReadEvents(ctx context.Context, filter queue.EventFilter, after queue.EventPosition, most int) (queue.Events, error)

	// Ready returns nil if the queue can take calls, else ErrUnavailable. It does not block.
	Ready(ctx context.Context) error
}
