// Package queuetest says what every engine must do, as tests: a conformance suite that an
// engine joins with a Harness, a reference model that it is compared with step by step, and
// the benchmarks that engines are measured by.
//
// A behaviour of the queue is tested here and nowhere else, so that no engine can have one of
// its own. What only one engine can do or suffer - its files, its crashes - is tested beside it.
package queuetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Queue is all that an engine offers.
type Queue interface {
	queue.JobQueue
	// EnqueueOnce is Enqueue, once: the same key and digest again returns the same statuses, as
	// they were then and Repeated, and adds nothing. ErrKeyReused for another digest; ErrKeyInUse while the
	// first call is under way. A call that was refused has not used its key, and a key is
	// forgotten after its time: KeysLast.
	EnqueueOnce(ctx context.Context, jobs []queue.NewJob, once queue.Once) ([]queue.Enqueued, error)
	// EnqueuedOnce returns what EnqueueOnce has answered to the same once; nil if it is not known.
	// ErrKeyReused, ErrKeyInUse.
	EnqueuedOnce(ctx context.Context, once queue.Once) ([]queue.Enqueued, error)
	// Fail ends a lease with a failure that its worker reports, and returns the state that its
	// job is in then. Repeated and late reports are answered as by RequeueOrFinishJob.
	Fail(ctx context.Context, token uuid.UUID, failure queue.Failure) (queue.State, error)
	// Release gives a lease's job back at no cost; it is not handed out again before the delay
	// has passed. The same again is answered the same.
	Release(ctx context.Context, token uuid.UUID, delay time.Duration) (queue.State, error)
	// RetryJob begins a new generation of a job that failed or was canceled, and of the
	// dependents that were over because of it, and so on. Those that another dependency decides
	// against, or whose unique key was taken meanwhile, stay as they are. ErrNotExist;
	// ErrNotFailed; ErrUniqueKeyTaken; ErrDependencyFailed if a dependency still decides against it.
	RetryJob(ctx context.Context, id uuid.UUID) error
	// UpdateJob changes a job that waits. ErrNotExist, ErrNotPending, ErrChanged,
	// *InvalidError.
	UpdateJob(ctx context.Context, id uuid.UUID, update queue.Update) error
	// ListJobs returns a page of jobs, newest first.
	ListJobs(ctx context.Context, listing queue.Listing) (queue.Page, error)
	// DequeueBatch takes reports on leases, each with an outcome of its own, and leases up to
	// request.Max jobs; if none is ready it waits for one. The end of ctx is no error. With Strict
	// a report that is refused refuses the whole call.
	DequeueBatch(ctx context.Context, request queue.BatchRequest) (queue.BatchAnswer, error)
	// Lease returns a lease without refreshing it.
	Lease(ctx context.Context, token uuid.UUID) (queue.Lease, error)
	// WholeLease is Lease, and nothing of it is withheld.
	WholeLease(ctx context.Context, token uuid.UUID) (queue.Lease, error)
	// DeleteJob deletes a job that is over: nobody finds it any more. Dependents that are not over
	// are handed its result all the same. ErrNotExist, ErrNotOver.
	DeleteJob(ctx context.Context, id uuid.UUID) error
	// CancelJobs cancels those of the jobs that are not over, in one change, and returns how many.
	CancelJobs(ctx context.Context, ids []uuid.UUID) (changed int, err error)
	// DeleteJobs deletes those of the jobs that are over, in one change, and returns how many.
	DeleteJobs(ctx context.Context, ids []uuid.UUID) (changed int, err error)
	// Prune makes a step of deleting what was over before a time and what nobody who is not over
	// depends on. It tells whether it has come to the end.
	Prune(ctx context.Context, before time.Time) (done bool, err error)
	// Attempts returns the leases that a job has had, in their order. ErrNotExist.
	Attempts(ctx context.Context, id uuid.UUID) ([]queue.Attempt, error)
	// ChannelsOf returns the channel of each job, "" of one that does not exist.
	ChannelsOf(ctx context.Context, ids []uuid.UUID) ([]string, error)
	// LeaseChannels returns the channel of the job of each lease, be it live or over.
	LeaseChannels(ctx context.Context, tokens []uuid.UUID) ([]string, error)
	// Queues returns a page of the lanes that have jobs, with exact counts.
	Queues(ctx context.Context, listing queue.LaneListing) (queue.LanePage, error)
	// OpenJobs returns how much each of the channels has of jobs that are not over; one that has none
	// may be left out.
	OpenJobs(ctx context.Context, channels []string) (map[string]queue.Amount, error)
	// Demand returns how many ready jobs a worker could take now.
	Demand(ctx context.Context, demand queue.Demand) (queue.DemandAnswer, error)
	// Workers returns a page of those who asked for jobs within queue.WorkerMemory, or hold leases.
	Workers(ctx context.Context, listing queue.WorkerListing) (queue.WorkerPage, error)
	// Explain says why a job is not running. ErrNotExist.
	Explain(ctx context.Context, id uuid.UUID) (queue.Explanation, error)
	// EventPosition returns the position after all events so far.
	EventPosition() queue.EventPosition
	// ReadEvents blocks until there are events after a position that the filter means, and returns
	// some of them; none if ctx ends. A position of another epoch has missed what happened since.
	ReadEvents(ctx context.Context, filter queue.EventFilter, after queue.EventPosition, most int) (queue.Events, error)
	// Await blocks until a job is over or ctx ends, and returns its status.
	Await(ctx context.Context, id uuid.UUID) (queue.Status, error)
	// AwaitChange blocks until a job has another version or ctx ends, and returns its status.
	AwaitChange(ctx context.Context, id uuid.UUID, version uint64) (queue.Status, error)
	// AwaitAll blocks until all of the jobs are over or ctx ends, and returns their states.
	// *queue.NotExistError.
	AwaitAll(ctx context.Context, ids []uuid.UUID) ([]queue.State, error)
	// AwaitLease blocks until a lease is over or ctx ends.
	AwaitLease(ctx context.Context, token uuid.UUID) error
	// CreateAPIKey adds an API key. *InvalidError; ErrAPIKeyExists, ErrTwoAPIKeys, ErrAPIKeyName,
	// ErrTooManyAPIKeys.
	CreateAPIKey(ctx context.Context, add queue.NewAPIKey) (queue.APIKey, error)
	// RevokeAPIKey removes an API key. ErrNoAPIKey.
	RevokeAPIKey(ctx context.Context, id string) error
	// APIKeys returns a page of the API keys, also of those that have expired.
	APIKeys(ctx context.Context, listing queue.APIKeyListing) (queue.APIKeyPage, error)
	// UseAPIKeys notes when API keys were used last, by their ids.
	UseAPIKeys(ctx context.Context, used map[string]time.Time) error
	// Ready returns nil while the queue is working.
	Ready(ctx context.Context) error
	// Close ends the queue.
	Close() error
}

// KeysLast is how long a queue under test remembers the key of a call.
const KeysLast = 24 * time.Hour

// Harness is one queue under test, empty at first. The suite closes it, which must check that
// the store is consistent.
type Harness interface {
	// Queue returns the queue; another one after each Restart.
	Queue() Queue
	// Now returns what the store's clock shows, in UTC and in whole microseconds. It stands
	// still but for Advance.
	Now() time.Time
	// Advance makes the clock jump ahead, and returns when all that is due by then was done.
	Advance(d time.Duration)
	// Observed returns what the queue's observer was told since the harness was made, restarts included.
	Observed() *Observed
	// Restart ends the queue, by a clean end or a crash, and opens it again on what was kept.
	Restart(t TB)
	// Close closes the queue and checks the store.
	Close(t TB)
}

// TB is what a Harness may use of a test: *testing.T, *testing.B and *rapid.T have it.
type TB interface {
	require.TestingT
	Helper()
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Test runs the conformance suite against the harnesses that open makes, one for each test. If groups
// are named it runs only those.
//
//nolint:tparallel // the engine's own test, which calls this, is parallel
func Test(t *testing.T, open func(t TB) Harness, only ...string) {
	t.Helper()
	groups := []struct {
		name  string
		tests map[string]func(*testing.T, *fixture)
	}{
		{"Enqueue", enqueueTests},
		{"Idempotency", idempotencyTests},
		{"Unique", uniqueTests},
		{"Dequeue", dequeueTests},
		{"DequeueOnce", dequeueOnceTests},
		{"DequeueBatch", dequeueBatchTests},
		{"Order", orderTests},
		{"Schedule", scheduleTests},
		{"Timeout", timeoutTests},
		{"Update", updateTests},
		{"List", listTests},
		{"ListFilter", listFilterTests},
		{"Report", reportTests},
		{"Requeue", requeueTests},
		{"Failure", failureTests},
		{"Retry", retryTests},
		{"RetryGraph", retryGraphTests},
		{"Cancel", cancelTests},
		{"Delete", deleteTests},
		{"Prune", pruneTests},
		{"Many", manyTests},
		{"Dependencies", dependencyTests},
		{"Graph", graphTests},
		{"Heartbeats", heartbeatTests},
		{"Progress", progressTests},
		{"Attempts", attemptTests},
		{"Await", awaitTests},
		{"Events", eventTests},
		{"Channels", channelTests},
		{"Queues", queuesTests},
		{"Bytes", bytesTests},
		{"Demand", demandTests},
		{"Workers", workersTests},
		{"Explain", explainTests},
		{"APIKeys", apiKeyTests},
		{"Observer", observerTests},
		{"Restart", restartTests},
		{"Concurrency", concurrencyTests},
		{"Storm", stormTests},
	}
	isMeant := func(group string) bool { return len(only) == 0 || slices.Contains(only, group) }
	for _, group := range groups {
		if !isMeant(group.name) {
			continue
		}
		for name, test := range group.tests {
			t.Run(group.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				h := open(t)
				defer h.Close(t)
				test(t, &fixture{Harness: h})
			})
		}
	}
	if !isMeant("Random") {
		return
	}
	t.Run("Random", func(t *testing.T) {
		t.Parallel()
		testRandom(t, open)
	})
}
