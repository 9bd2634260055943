package client_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

// memoryTokens is a TokenStore that outlives a worker, as a directory would.
type memoryTokens struct {
	mu   sync.Mutex
	kept map[uuid.UUID]bool
	fail error // of Keep and Forget
	list error // of Tokens
}

func newMemoryTokens(tokens ...uuid.UUID) *memoryTokens {
	m := &memoryTokens{kept: map[uuid.UUID]bool{}}
	for _, token := range tokens {
		m.kept[token] = true
	}
	return m
}

func (m *memoryTokens) Keep(token uuid.UUID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept[token] = true
	return m.fail
}

func (m *memoryTokens) Forget(token uuid.UUID) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.kept, token)
	return m.fail
}

func (m *memoryTokens) Tokens() ([]uuid.UUID, error) { return m.all(), m.list }

func (m *memoryTokens) all() []uuid.UUID {
	m.mu.Lock()
	defer m.mu.Unlock()
	var tokens []uuid.UUID
	for token := range m.kept {
		tokens = append(tokens, token)
	}
	return slices.SortedFunc(slices.Values(tokens), func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) })
}

func with(tokens client.TokenStore) func(*client.WorkerOptions) {
	return func(o *client.WorkerOptions) { o.Tokens = tokens }
}

func TestALiveLeaseIsAdoptedByTheNextProcess(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		tokens := newMemoryTokens()
		causes := make(chan error, 1)
		j := f.server.add("t", `7`)
		f.start(untilEnd(causes), with(tokens))
		f.pass(100 * time.Second)
		f.worker.Kill()
		<-f.done
		require.ErrorIs(t, <-causes, client.ErrKilled)

		f.pass(30 * time.Second)
		var got *client.Run
		f.start(func(_ context.Context, run *client.Run) (any, error) {
			got = run
			time.Sleep(100 * time.Second) // longer than what was left of the lease
			return "done", nil
		}, with(tokens))
		f.pass(101 * time.Second)
		require.Equal(t, `finish {"result":"done"}`, f.server.reported(j))
		require.True(t, got.Adopted)
		require.EqualValues(t, 1, got.Attempt)
		require.Equal(t, `7`, string(got.Args))
		require.Empty(t, tokens.all())
	})
}

func TestALeaseThatIsOverIsForgotten(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		lost, lostToken := f.server.addRunning("t", `null`)
		canceled, canceledToken := f.server.addRunning("t", `null`)
		f.server.set(lost, func(j *fakeJob) { j.lost = true })
		f.server.set(canceled, func(j *fakeJob) { j.canceled = true })
		tokens := newMemoryTokens(lostToken, canceledToken, uuid.New())
		j := f.server.add("t", `"fresh"`)
		f.start(func(_ context.Context, run *client.Run) (any, error) { return run.Args, nil },
			with(tokens), func(o *client.WorkerOptions) { o.Concurrency = 3 })
		f.pass(time.Second)
		require.Empty(t, tokens.all())
		require.Equal(t, `finish {"result":"fresh"}`, f.server.reported(j))
		require.Len(t, f.server.seen("finish"), 1)
	})
}

func TestLeasesThatCannotBeAdoptedAreGivenBack(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		other, otherToken := f.server.addRunning("other", `null`)
		tokens := newMemoryTokens(otherToken)
		f.start(lasting(0), with(tokens))
		f.pass(time.Second)
		require.Equal(t, "release {}", f.server.reported(other), "a type it has no handler for")
		require.Empty(t, tokens.all())
	})
	within(t, func(t *testing.T, f *fixture) {
		_, one := f.server.addRunning("t", `null`)
		_, two := f.server.addRunning("t", `null`)
		_, three := f.server.addRunning("t", `null`)
		tokens := newMemoryTokens(one, two, three)
		f.start(lasting(time.Second), with(tokens))
		f.pass(2 * time.Second)
		require.Len(t, f.server.seen("finish"), 1, "one slot")
		require.Len(t, f.server.seen("release"), 2)
		require.Empty(t, tokens.all())
	})
}

// Of some there is no more than a token.
func TestTheLogNamesNoJobThatIsNotKnown(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		_, one := f.server.addRunning("t", `null`)
		_, other := f.server.addRunning("t", `null`)
		f.start(lasting(0), with(newMemoryTokens(one, other)))
		f.pass(time.Second)
		require.Contains(t, f.log.text(), "reported a run [report release]")
		require.NotContains(t, f.log.text(), uuid.Nil.String())
	})
}

func TestAdoptionWaitsForTheServer(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(string, int) fault { return fault{lost: time.Since(f.begun) < time.Minute} }
		j, token := f.server.addRunning("t", `null`)
		f.start(lasting(0), with(newMemoryTokens(token)))
		f.pass(2 * time.Minute)
		require.Equal(t, client.Finished, f.server.state(j))
	})
}

func TestADrainEndsTheWaitingForAnAdoption(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = func(op string, _ int) fault { return fault{hang: op == "heartbeat"} }
		j, token := f.server.addRunning("t", `null`)
		f.start(lasting(0), with(newMemoryTokens(token)))
		f.pass(time.Second)
		f.stop()
		<-f.done
		require.NoError(t, f.err)
		require.Equal(t, "release {}", f.server.reported(j))
	})
}

func TestAStoreThatFailsHoldsUpNoJob(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		tokens := newMemoryTokens()
		tokens.fail = errors.New("disk full")
		j := f.server.add("t", `null`)
		f.start(func(context.Context, *client.Run) (any, error) { return 1, nil }, with(tokens))
		f.pass(time.Second)
		require.Equal(t, client.Finished, f.server.state(j))
	})
}

func TestAStoreThatCannotBeReadKeepsTheWorkerFromStarting(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		tokens := newMemoryTokens()
		tokens.list = errors.New("no such directory")
		f.start(lasting(0), with(tokens))
		<-f.done
		require.ErrorContains(t, f.err, "no such directory")
		require.Empty(t, f.server.seen("dequeue"))
	})
}
