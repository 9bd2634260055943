package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

// Several servers of one queue: what each does, the others know.

const (
	// soon bounds waits that should end at once; only a test that fails waits so long.
	soon = 30 * time.Second
	// tick is how often a test looks for what nothing tells it.
	tick = 5 * time.Millisecond
)

// calmLog is a logger for stores that are harmed on purpose: what they log goes to the test's log.
type calmLog struct {
	mu sync.Mutex
	t  *testing.T // guarded by mu; nil when the test is over
}

func newCalmLog(t *testing.T) *calmLog {
	t.Helper()
	l := &calmLog{t: t}
	t.Cleanup(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.t = nil
	})
	return l
}

func (l *calmLog) Info(msg string, keysAndValues ...string) { l.log(nil, msg, keysAndValues) }

func (l *calmLog) Error(err error, msg string, keysAndValues ...string) {
	l.log(err, msg, keysAndValues)
}

func (l *calmLog) log(err error, msg string, keysAndValues []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.t != nil {
		l.t.Logf("the store says: %s %v: %v", msg, keysAndValues, err)
	}
}

// migrated returns the address of an empty queue, whose clock runs, and which is audited when the
// test is over.
func migrated(t *testing.T, dsn string) string {
	t.Helper()
	_, err := Migrate(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() {
		audit, err := Audit(context.Background(), dsn)
		require.NoError(t, err)
		require.Empty(t, audit.Differences)
	})
	return dsn
}

// openServer opens a store that is closed when the test is over.
func openServer(t *testing.T, dsn string, options Options) *Store {
	t.Helper()
	if options.Logger == nil {
		options.Logger = newCalmLog(t)
	}
	s, err := Open(t.Context(), dsn, options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// twoServers opens two stores of one queue, each of which knows of the other.
func twoServers(t *testing.T, options Options) (a, b *Store) {
	t.Helper()
	dsn := migrated(t, pgtest.Database(t))
	a, b = openServer(t, dsn, options), openServer(t, dsn, options)
	return a, b
}

// awaitListening waits until a server hears of the others.
func awaitListening(t *testing.T, s *Store) {
	t.Helper()
	require.Eventually(t, s.notifier.listens.Load, soon, tick, "a server does not listen")
}

// over is a context that has ended: a dequeue with it does not wait.
func over() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func add(t *testing.T, s *Store, jobs ...queue.NewJob) []uuid.UUID {
	t.Helper()
	added, err := s.Enqueue(t.Context(), jobs)
	require.NoError(t, err)
	ids := make([]uuid.UUID, len(added))
	for i := range added {
		ids[i] = added[i].ID
	}
	return ids
}

// take dequeues without waiting.
func take(t *testing.T, s *Store, types ...string) queue.Lease {
	t.Helper()
	l, err := s.Dequeue(over(), queue.DequeueRequest{Types: types})
	require.NoError(t, err, "a dequeue of %v without waiting", types)
	return l
}

func done(t *testing.T, s *Store, l *queue.Lease) {
	t.Helper()
	state, err := s.RequeueOrFinishJob(t.Context(), l.Token, 0, queue.Outcome{Result: json.RawMessage("1")})
	require.NoError(t, err)
	require.Equal(t, queue.Finished, state)
}

// leaseOr is what a dequeue has returned, and when.
type leaseOr struct {
	lease queue.Lease
	err   error
	at    time.Time
}

// takeLater starts a dequeue that waits, and returns when it does wait.
func takeLater(t *testing.T, s *Store, types ...string) <-chan leaseOr {
	t.Helper()
	got := make(chan leaseOr, 1)
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	t.Cleanup(cancel)
	go func() {
		l, err := s.Dequeue(ctx, queue.DequeueRequest{Types: types})
		got <- leaseOr{l, err, time.Now()}
	}()
	request := queue.DequeueRequest{Types: types}
	require.Eventually(t, func() bool { return s.claims.sleeps(request.Lanes()) }, soon, tick, "the dequeue does not wait")
	return got
}

// sleeps tells whether somebody waits for lanes who has looked.
func (d *dispatcher) sleeps(lanes []queue.Lane) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.groups[keyOf(lanes)]
	return g != nil && g.first(everybody).isAware
}

func get[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(soon):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

// soonEnough is within what time who is told of something hears of it, on a machine that is busy. Who was not
// told hears of it no sooner than listenCheck, or never.
const soonEnough = listenCheck / 2

// requireWoken requires that a job enqueued at one server is handed to who waits at another one.
func requireWoken(t *testing.T, from, to *Store) {
	t.Helper()
	got := takeLater(t, to, "wake")
	began := time.Now()
	id := add(t, from, queue.NewJob{Type: "wake"})[0]
	l := get(t, got)
	require.NoError(t, l.err)
	require.Equal(t, id, l.lease.JobID)
	took := l.at.Sub(began)
	t.Logf("a job of another server came after %v", took)
	require.Less(t, took, soonEnough)
	done(t, to, &l.lease)
}

func TestAJobOfOneServerWakesWhoWaitsAtAnother(t *testing.T) {
	t.Parallel()
	// Polls do not help: they come too late.
	a, b := twoServers(t, Options{PollInterval: time.Hour})
	awaitListening(t, a)
	awaitListening(t, b)
	for range 3 {
		requireWoken(t, a, b)
		requireWoken(t, b, a)
	}
}

func TestPollsFindWhatNothingNotifiesOf(t *testing.T) {
	t.Parallel()
	a, b := twoServers(t, Options{NoListen: true, PollInterval: 200 * time.Millisecond})
	for range 3 {
		requireWoken(t, a, b)
		requireWoken(t, b, a)
	}
}

func TestPollsComeAsOftenAsTheyAreToldTo(t *testing.T) {
	t.Parallel()
	// With the default it would take longer than anybody waits here.
	_, s := twoServers(t, Options{NoListen: true, PollInterval: 10 * time.Millisecond})
	before := s.Stats().Acquired
	require.Eventually(t, func() bool { return s.Stats().Acquired-before > 200 }, soon, tick)
}

// killListeners ends the connections that listen, and returns how many there were.
func killListeners(t *testing.T, from reader) (n int) {
	t.Helper()
	const statement = `
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN %'`
	require.NoError(t, from.QueryRow(t.Context(), statement).Scan(&n))
	return n
}

func TestServersListenAgainWhenTheirConnectionWasKilled(t *testing.T) {
	t.Parallel()
	a, b := twoServers(t, Options{PollInterval: 300 * time.Millisecond})
	awaitListening(t, a)
	awaitListening(t, b)
	for range 3 {
		got := takeLater(t, b, "killed")
		require.Equal(t, 2, killListeners(t, a.pool))
		id := add(t, a, queue.NewJob{Type: "killed"})[0]
		l := get(t, got)
		require.NoError(t, l.err)
		require.Equal(t, id, l.lease.JobID)
		done(t, b, &l.lease)
		awaitListening(t, a)
		awaitListening(t, b)
	}
	require.Eventually(t, func() bool {
		var n int
		err := a.pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN %'`).Scan(&n)
		return err == nil && n == 2
	}, soon, tick, "there are not two connections that listen")
}

func TestWhatOneServerHasAddedAnotherFindsWithoutWaiting(t *testing.T) {
	t.Parallel()
	for _, options := range []Options{{PollInterval: time.Hour}, {PollInterval: time.Hour, NoListen: true}} {
		t.Run(fmt.Sprintf("NoListen=%v", options.NoListen), func(t *testing.T) {
			t.Parallel()
			a, b := twoServers(t, options)
			if !options.NoListen {
				awaitListening(t, a)
				awaitListening(t, b)
				require.Eventually(t, func() bool { return !a.isAlone() && !b.isAlone() }, soon, tick)
			}
			for range 50 {
				id := add(t, a, queue.NewJob{Type: "plain"})[0]
				l := take(t, b, "plain")
				require.Equal(t, id, l.JobID)
				done(t, b, &l)
			}
			ids := add(t, a, queue.NewJob{Type: "ranked"}, queue.NewJob{Type: "ranked", Priority: 5}, queue.NewJob{Type: "ranked", Priority: -5})
			for _, id := range []uuid.UUID{ids[1], ids[0], ids[2]} {
				l := take(t, b, "ranked")
				require.Equal(t, id, l.JobID, "the order of priorities")
				done(t, b, &l)
			}
			// What is given back at one server goes to its old place in line, before what the
			// other one has handed out since.
			old := add(t, a, queue.NewJob{Type: "old"}, queue.NewJob{Type: "old"}, queue.NewJob{Type: "old"}, queue.NewJob{Type: "old"})
			first, second, third := take(t, a, "old"), take(t, b, "old"), take(t, b, "old")
			want, got := old[:3], []uuid.UUID{first.JobID, second.JobID, third.JobID}
			require.Equal(t, want, got)
			_, err := a.Release(t.Context(), first.Token, 0)
			require.NoError(t, err)
			state, err := a.RequeueOrFinishJob(t.Context(), second.Token, 1, queue.Outcome{Error: &queue.JobError{Reason: queue.ReasonHeartbeatLost}})
			require.NoError(t, err)
			require.Equal(t, queue.Pending, state)
			// A server that has jobs of a lane to hand out does not ask first whether others made
			// ready what comes before them: the order is kept from when it has heard of that.
			require.NoError(t, b.tail.sync(t.Context()))
			for _, id := range []uuid.UUID{old[0], old[1], old[3]} {
				l := take(t, b, "old")
				require.Equal(t, id, l.JobID, "the old place in line")
				done(t, a, &l)
			}
			done(t, b, &third)
		})
	}
}

func TestEachJobRunsOnceAtThreeServers(t *testing.T) {
	t.Parallel()
	const workers, jobs = 8, 600
	dsn := migrated(t, pgtest.Database(t))
	servers := []*Store{openServer(t, dsn, Options{}), openServer(t, dsn, Options{}), openServer(t, dsn, Options{NoListen: true, PollInterval: 100 * time.Millisecond})}
	var (
		mu   sync.Mutex
		ran  = make(map[uuid.UUID]int)
		ids  []uuid.UUID
		left = make(chan struct{}, jobs)
	)
	ctx, cancel := context.WithTimeout(t.Context(), 2*soon)
	defer cancel()
	var group, producers errgroup.Group
	for w := range workers {
		producers.Go(func() error {
			for i := range jobs / workers {
				added, err := servers[(w+i)%3].Enqueue(ctx, []queue.NewJob{{Type: "storm", Priority: i % 3}})
				if err != nil {
					return err
				}
				mu.Lock()
				ids = append(ids, added[0].ID)
				mu.Unlock()
			}
			return nil
		})
		group.Go(func() error {
			for {
				l, err := servers[w%3].Dequeue(ctx, queue.DequeueRequest{Types: []string{"storm"}})
				if err != nil {
					return nil //nolint:nilerr // the end
				}
				mu.Lock()
				ran[l.JobID]++
				mu.Unlock()
				if _, err := servers[(w+1)%3].RequeueOrFinishJob(ctx, l.Token, 0, queue.Outcome{}); err != nil {
					return err
				}
				left <- struct{}{}
			}
		})
	}
	require.NoError(t, producers.Wait())
	for range jobs {
		get(t, left)
	}
	cancel()
	require.NoError(t, group.Wait())
	require.Len(t, ran, jobs)
	for _, id := range ids {
		require.Equal(t, 1, ran[id], "how often job %s ran", id)
	}
}
