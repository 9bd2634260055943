package postgres

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// channelName is what servers listen to.
	channelName = "longshore"
	// notifyPause is the least time between two notifications of one server.
	notifyPause = 5 * time.Millisecond
	// listenCheck is what limits.listenCheck is by default.
	listenCheck = 30 * time.Second
	// longestReconnect is how long to wait before connecting again, at most.
	longestReconnect = time.Second
)

// notifier tells the other servers that there is something to be read. It does so in transactions
// of its own, after those that it tells of: a commit with a notification waits for every other one.
type notifier struct {
	store *Store
	poked chan struct{} // holds a token if there is something to tell
	alone atomic.Bool   // there was no other server when they were counted, and no notification came since
	heard atomic.Uint64 // how often there may have been one
	// listens tells that there is a connection that hears of others.
	listens atomic.Bool
}

func (n *notifier) init(s *Store) {
	n.store = s
	n.poked = make(chan struct{}, 1)
}

func (n *notifier) poke() {
	if n.alone.Load() {
		return
	}
	select {
	case n.poked <- struct{}{}:
	default:
	}
}

// hear takes notice of another server that may have done something.
func (n *notifier) hear() {
	n.heard.Add(1)
	n.alone.Store(false)
	n.store.tail.poke()
}

// counted takes notice of whether there was another server when they were counted, unless one may
// have come since: heard is what it was before.
func (n *notifier) counted(others int, heard uint64) {
	n.alone.Store(others == 0)
	if n.heard.Load() != heard {
		n.alone.Store(false)
	}
}

// runUntil notifies until ctx ends: at once, and then not again for a little while.
func (n *notifier) runUntil(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.poked:
		}
		// If it fails, the polls of others find what there is.
		_ = n.store.notify(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(notifyPause):
		}
	}
}

// isAlone reports whether there is no other server for sure, nor a statement of this one that nobody
// waits for any more: a server that comes notifies those that listen before it does anything else.
func (s *Store) isAlone() bool {
	return s.notifier.alone.Load() && s.notifier.listens.Load() && !s.tail.doubts.are()
}

func (s *Store) notify(ctx context.Context) error {
	return s.database(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, `SELECT pg_notify($1, $2)`, channelName, s.id.String())
		return err
	})
}

// listen hears what other servers notify of, in a connection of its own, until ctx ends.
func (s *Store) listen(ctx context.Context, config *pgx.ConnConfig) {
	pause := time.Duration(0)
	listened := false // there was a connection that did
	for ctx.Err() == nil {
		began := time.Now()
		err := s.listenOnce(ctx, config, &listened)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > longestReconnect {
			pause = 0
		}
		s.log.Error(err, "the connection that hears of other servers' changes was lost; until there is another one, polls find them")
		pause = min(max(2*pause, 20*time.Millisecond), longestReconnect)
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause)): //nolint:gosec // not for secrets
		}
	}
}

func (s *Store) listenOnce(ctx context.Context, config *pgx.ConnConfig, listened *bool) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing) // there is nothing to be lost
	}()
	// A connection whose other side has vanished without a word does not fail, for a quarter of an hour or for ever.
	bounded := func(ask func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, s.limits.listenCheck)
		defer cancel()
		return ask(ctx)
	}
	err = bounded(func(ctx context.Context) error {
		_, err := conn.Exec(ctx, "LISTEN "+channelName)
		return err
	})
	if err != nil {
		return err
	}
	// Not for each attempt: one that gets no connection while others work would look at everything all the time.
	if *listened {
		s.tail.lost()
	}
	*listened = true
	defer s.tail.lost()
	// What was told while nobody listened, which another server may have come with.
	s.notifier.hear()
	s.notifier.listens.Store(true)
	defer s.notifier.listens.Store(false)
	own := s.id.String()
	for {
		waiting, cancel := context.WithTimeout(ctx, s.limits.listenCheck)
		notification, err := conn.WaitForNotification(waiting)
		timedOut := waiting.Err() != nil && ctx.Err() == nil
		cancel()
		switch {
		case err == nil && notification.Payload != own:
			s.notifier.hear()
		case err == nil:
		case timedOut:
			if err := bounded(conn.Ping); err != nil {
				return err
			}
		default:
			return err
		}
	}
}
