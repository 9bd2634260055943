package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/longshore-queue/longshore/internal/queue"
)

// The codes of errors that mean something to us: https://www.postgresql.org/docs/current/errcodes-appendix.html.
const (
	codeReadOnly      = "25006"
	codeSerialization = "40001"
	codeDeadlock      = "40P01"
	codeLockTimeout   = "55P03"
	codeCanceled      = "57014" // it took too long, or somebody wanted it to end
	codeUnknownTable  = "42P01"
	codeUnknownSchema = "3F000"
	classConnection   = "08"
	classResources    = "53" // too many connections, no memory, a full disk
	classOperator     = "57" // canceled, or the server goes down or comes up
	classSystem       = "58" // what the server got from its own system
)

// database runs statements with a deadline of their own, because they may complete in spite of the
// caller's. What is wrong with the database itself is queue.ErrUnavailable, and the outcome is unknown; see isUnknown.
func (s *Store) database(ctx context.Context, work func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	stop := context.AfterFunc(s.life.last, cancel)
	defer stop()
	err := work(ctx)
	var failure *pgconn.PgError
	if errors.As(err, &failure) && failure.Code == codeReadOnly {
		s.pool.Reset() // another host may have taken over
	}
	err = translate(err)
	s.outage.note(err)
	return err
}

// translate tells what is wrong with the database from all else.
func translate(err error) error {
	var failure *pgconn.PgError
	var connect *pgconn.ConnectError
	switch {
	case err == nil, errors.Is(err, pgx.ErrNoRows):
		return err
	case errors.As(err, &connect): // whatever the server says to that
		return fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
	case errors.As(err, &failure):
		switch class := failure.Code[:2]; {
		case failure.SeverityUnlocalized == "FATAL", failure.SeverityUnlocalized == "PANIC": // with which the connection ends
			return fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
		case class == classConnection, class == classResources, class == classOperator, class == classSystem,
			failure.Code == codeReadOnly, failure.Code == codeLockTimeout:
			return fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
		default:
			return err
		}
	case isRule(err):
		return err
	default: // the network, or a deadline
		return fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
	}
}

// isRule reports whether an error is an answer of the rules, and not an accident.
func isRule(err error) bool {
	for _, rule := range []error{
		queue.ErrNotExist, queue.ErrNotPending, queue.ErrNotRunning, queue.ErrCanceled, queue.ErrDequeueTimeout, queue.ErrLeaseLost,
		queue.ErrAlreadyReported, queue.ErrChanged, queue.ErrNotFailed, queue.ErrNotOver, queue.ErrDeleted, queue.ErrDependencyFailed,
		queue.ErrUniqueKeyTaken, queue.ErrKeyReused, queue.ErrKeyInUse, queue.ErrDamaged, queue.ErrNoAPIKey, queue.ErrAPIKeyExists,
		queue.ErrTwoAPIKeys, queue.ErrAPIKeyName, queue.ErrTooManyAPIKeys, errCallKnown,
	} {
		if errors.Is(err, rule) {
			return true
		}
	}
	var invalid *queue.InvalidError
	return errors.As(err, &invalid)
}

// isConflict reports whether a transaction has lost against another one, and can be tried again.
func isConflict(err error) bool {
	var failure *pgconn.PgError
	return errors.As(err, &failure) && (failure.Code == codeSerialization || failure.Code == codeDeadlock)
}

// isUnknown reports whether nobody knows if what has failed was done all the same. Of a transaction that has lost
// against another one it is known, however it is answered.
func isUnknown(err error) bool { return errors.Is(err, queue.ErrUnavailable) && !isConflict(err) }

// triesOfTransaction is how often a transaction is tried that loses against another one. That takes
// somebody else's statements on our tables, such as those of an operator, or calls with the same idempotency
// keys at several servers at once.
const triesOfTransaction = 3

// tryAgain makes a transaction again that has lost against another one; queue.ErrUnavailable if it has too
// often. One that was made for several callers is made for each of them alone then; of claims, for each group of callers.
func tryAgain(transaction func() error) error {
	for try := 1; ; try++ {
		err := transaction()
		switch {
		case !isConflict(err):
			return err
		case try == triesOfTransaction:
			return fmt.Errorf("%w: %w", queue.ErrUnavailable, err)
		}
	}
}

// leastOutage is how long an outage lasts at least: a shorter one is a connection that was lost.
const leastOutage = 300 * time.Millisecond

// outage knows whether the database can be reached, as far as the last statement tells.
type outage struct {
	mu    sync.Mutex // guards what follows
	since time.Time  // zero if there is none
	ended time.Time  // when the last one was over; zero if there was none
}

func (o *outage) note(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case !errors.Is(err, queue.ErrUnavailable):
		if !o.since.IsZero() && time.Since(o.since) > leastOutage {
			o.ended = time.Now()
		}
		o.since = time.Time{}
	case o.since.IsZero():
		o.since = time.Now()
	}
}

func (o *outage) is() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.since.IsZero()
}

func (o *outage) end() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ended
}
