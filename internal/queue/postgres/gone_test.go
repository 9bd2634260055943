package postgres

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

// A caller with an idempotency key may go while a round claims for it, and come again before what it was granted is
// given back: it is handed that, and keeps it.
func TestWhoComesAgainKeepsWhatItWasGrantedWhileItWasGone(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	s := openServer(t, dsn, Options{})
	request := queue.DequeueRequest{Types: []string{"one"}, Once: once("comes again")}

	// The round waits for somebody else who is about to enqueue with the same key.
	other, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = other.Close(context.Background()) })
	_, err = other.Exec(t.Context(), `BEGIN`)
	require.NoError(t, err)
	_, err = other.Exec(t.Context(), keepCall, hashOf("enqueues"), []byte{1}, "now", nil, nil, nil, nil)
	require.NoError(t, err)
	ctx, hangUp := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := s.Dequeue(ctx, request)
		gone <- err
	}()
	require.Eventually(t, func() bool { return s.claims.sleeps(request.Lanes()) }, soon, tick)
	added := make(chan error, 1)
	go func() {
		_, err := s.EnqueueOnce(t.Context(), []queue.NewJob{{Type: "one"}}, once("enqueues"))
		added <- err
	}()
	require.Eventually(t, func() bool { return s.claims.claimsFor(request.Lanes()) }, soon, tick)
	hangUp()
	require.ErrorIs(t, get(t, gone), queue.ErrDequeueTimeout)

	var l queue.Lease
	require.NoError(t, s.change(t.Context(), func(*change) error { // meanwhile nothing is given back
		if _, err := other.Exec(t.Context(), `ROLLBACK`); err != nil {
			return err
		}
		if err := get(t, added); err != nil {
			return err
		}
		l, err = s.Dequeue(t.Context(), request)
		return err
	}))
	require.Eventually(t, s.keeper.orphans.areNone, soon, tick)
	require.NoError(t, s.change(t.Context(), func(*change) error { return nil }))
	_, err = s.Lease(t.Context(), l.Token)
	require.NoError(t, err)
	done(t, s, &l)
}

// addSecond adds a job of type second that is ready, and depends on one that is over.
func addSecond(t *testing.T, s *Store) uuid.UUID {
	t.Helper()
	ids := add(t, s, queue.NewJob{Type: "first", Name: "first"}, queue.NewJob{Type: "second", Needs: []queue.Need{{Name: "first"}}})
	first := take(t, s, "first")
	done(t, s, &first)
	return ids[1]
}

// What a dequeue was granted cannot be handed out when what it depends on cannot be read. Nor can it be given back then:
// who comes again, elsewhere, is handed it, and keeps it.
func TestWhoComesAgainKeepsWhatCouldNotBeHandedOut(t *testing.T) {
	t.Parallel()
	p, address := through(t, migrated(t, pgtest.Database(t)))
	s, other := openServer(t, address, Options{Connections: 1}), openServer(t, p.dsn, Options{})
	addSecond(t, s)
	request := queue.DequeueRequest{Types: []string{"second"}, Once: once("comes again")}
	happened := p.cutAt(beforeStatement, "FROM longshore.edges e LEFT JOIN longshore.ended d")
	p.refuse(true)
	_, err := s.Dequeue(over(), request)
	requireCut(t, beforeStatement, happened, err)
	require.Eventually(t, func() bool { return !s.keeper.orphans.areNone() }, soon, tick)

	l, err := other.Dequeue(over(), request)
	require.NoError(t, err)
	require.EqualValues(t, 1, l.Attempt)
	p.refuse(false)
	require.Eventually(t, s.keeper.orphans.areNone, soon, tick)
	done(t, other, &l)
}

// It may have been handed out again by the time that the server which it was granted at gives up, and has a connection
// that works.
func TestWhoComesAgainKeepsWhatTheFirstCallGivesUpLater(t *testing.T) {
	t.Parallel()
	p, address := through(t, migrated(t, pgtest.Database(t)))
	s, other := openServer(t, address, Options{}), openServer(t, p.dsn, Options{})
	addSecond(t, s)
	request := queue.DequeueRequest{Types: []string{"second"}, Once: once("comes again")}
	grants, err := s.claims.ask(over(), request.Lanes(), 1, request.Holder(), request.Once)
	require.NoError(t, err)
	l, err := other.Dequeue(over(), request)
	require.NoError(t, err)
	require.Equal(t, grants[0].token(), l.Token)

	happened := p.cutAt(beforeStatement, readDependencies)
	_, err = s.deliver(t.Context(), grants, request.Once)
	requireCut(t, beforeStatement, happened, err)
	require.Eventually(t, s.keeper.orphans.areNone, soon, tick)
	_, err = other.Lease(t.Context(), l.Token)
	require.NoError(t, err)
	done(t, other, &l)
}

func TestWhatCouldNotBeHandedOutIsGivenBackThoughNobodyComesAgain(t *testing.T) {
	t.Parallel()
	p, address := through(t, migrated(t, pgtest.Database(t)))
	s := openServer(t, address, Options{})
	id := addSecond(t, s)
	happened := p.cutAt(beforeStatement, readDependencies)
	_, err := s.Dequeue(over(), queue.DequeueRequest{Types: []string{"second"}, Once: once("gone")})
	requireCut(t, beforeStatement, happened, err)
	require.Eventually(t, func() bool {
		status, err := s.JobStatus(t.Context(), id)
		return err == nil && status.State == queue.Pending && status.Retries == 0
	}, soon, tick)
}

// Who comes again may not be handed what it was granted, and not come a third time. Then its jobs do not wait until its
// leases are found to be silent.
func TestWhatCouldNotBeHandedOutAgainIsGivenBack(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	p, address := through(t, dsn)
	q, otherAddress := through(t, dsn)
	s, other := openServer(t, address, Options{Connections: 1}), openServer(t, otherAddress, Options{})
	id := add(t, s, queue.NewJob{Type: "one"})[0]
	request := queue.DequeueRequest{Types: []string{"one"}, Once: once("comes again")}
	happened := p.cutAt(beforeAnswer, claimMarker)
	p.refuse(true)
	_, err := s.Dequeue(over(), request)
	requireCut(t, beforeAnswer, happened, err)
	happened = q.cutAt(beforeStatement, readLease)
	_, err = other.Dequeue(over(), request)
	requireCut(t, beforeStatement, happened, err)
	p.refuse(false)
	require.Eventually(t, func() bool {
		status, err := other.JobStatus(t.Context(), id)
		return err == nil && status.State == queue.Pending && status.Retries == 0
	}, soon, tick)
}

// claimsFor tells whether a round that is under way claims for the first who waits for lanes.
func (d *dispatcher) claimsFor(lanes []queue.Lane) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.groups[keyOf(lanes)]
	return g != nil && g.first(everybody).claims
}

func (o *orphans) areNone() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.all) == 0
}
