package postgres

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

// loseAtFirst has so many statements of a kind lose against another transaction, as they do in a deadlock.
func loseAtFirst(t *testing.T, dsn, statement string, times int) {
	t.Helper()
	execute(t, dsn, fmt.Sprintf(`
CREATE SEQUENCE longshore.lost;
CREATE FUNCTION longshore.lose() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN IF nextval(''longshore.lost'') <= %d THEN RAISE EXCEPTION ''lost'' USING ERRCODE = ''40P01''; END IF; RETURN NULL; END';
CREATE TRIGGER lose BEFORE %s FOR EACH STATEMENT EXECUTE FUNCTION longshore.lose()`, times, statement))
}

// Nobody is told of a transaction that has lost against another one, but that it should try again if it has
// too often.
func TestATransactionThatLosesAgainstAnotherIsMadeAgain(t *testing.T) {
	t.Parallel()
	one := queue.NewJob{Type: "one"}
	for name, of := range map[string]struct {
		statement string
		call      func(t *testing.T, s *Store, l *queue.Lease) error
	}{
		"enqueue": {"INSERT ON longshore.jobs", func(t *testing.T, s *Store, _ *queue.Lease) error {
			t.Helper()
			added, err := s.Enqueue(t.Context(), []queue.NewJob{one, one})
			if err == nil {
				require.Len(t, added, 2)
			}
			return err
		}},
		"dequeue": {"INSERT ON longshore.leases", func(t *testing.T, s *Store, _ *queue.Lease) error {
			t.Helper()
			_, err := s.Dequeue(over(), queue.DequeueRequest{Types: []string{"one"}})
			return err
		}},
		"finish": {"INSERT ON longshore.ended", func(t *testing.T, s *Store, l *queue.Lease) error {
			t.Helper()
			_, err := s.RequeueOrFinishJob(t.Context(), l.Token, 0, queue.Outcome{})
			return err
		}},
		"heartbeat": {"UPDATE ON longshore.leases", func(t *testing.T, s *Store, l *queue.Lease) error {
			t.Helper()
			_, err := s.RefreshHeartbeat(t.Context(), l.Token, queue.Beat{})
			return err
		}},
		"cancel": {"INSERT ON longshore.ended", func(t *testing.T, s *Store, l *queue.Lease) error {
			t.Helper()
			return s.CancelJob(t.Context(), l.JobID)
		}},
	} {
		for _, times := range []int{triesOfTransaction - 1, 1000} {
			t.Run(fmt.Sprint(name, " ", times), func(t *testing.T) {
				t.Parallel()
				dsn := migrated(t, pgtest.Database(t))
				s := openServer(t, dsn, Options{})
				add(t, s, one, one)
				l := take(t, s, "one")
				loseAtFirst(t, dsn, of.statement, times)
				err := of.call(t, s, &l)
				if times < triesOfTransaction {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, queue.ErrUnavailable)
				}
			})
		}
	}
}

func TestAConnectionThatTheDatabaseEndsIsNobodysFault(t *testing.T) {
	t.Parallel()
	s := openServer(t, migrated(t, pgtest.Database(t)), Options{})
	id := add(t, s, queue.NewJob{Type: "one"})[0]
	// As when this process is stopped for longer than a transaction may stand idle.
	err := s.change(t.Context(), func(c *change) error {
		var backend int
		if err := c.tx.QueryRow(c.ctx, `SELECT pg_backend_pid()`).Scan(&backend); err != nil {
			return err
		}
		if _, err := c.tx.Exec(c.ctx, `SET LOCAL idle_in_transaction_session_timeout = 1`); err != nil {
			return err
		}
		require.Eventually(t, func() bool {
			var gone bool
			err := s.pool.QueryRow(t.Context(), `SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)`, backend).Scan(&gone)
			return err == nil && gone
		}, soon, tick)
		_, err := c.read(id)
		return err
	})
	require.ErrorIs(t, err, queue.ErrUnavailable)
	l := take(t, s, "one")
	done(t, s, &l)
}

func TestServersNoteTheUseOfTheSameAPIKeysAtOnce(t *testing.T) {
	t.Parallel()
	a, b := twoServers(t, Options{})
	var ids []string
	for i := range 40 {
		key, err := a.CreateAPIKey(t.Context(), queue.NewAPIKey{ID: fmt.Sprint(i), Name: fmt.Sprint(i), Scopes: []string{"read"}})
		require.NoError(t, err)
		ids = append(ids, key.ID)
	}
	began := time.Now()
	var noting errgroup.Group
	for n, s := range []*Store{a, b} {
		noting.Go(func() error {
			for i := range 100 {
				used := make(map[string]time.Time)
				for _, id := range ids {
					used[id] = began.Add(time.Duration(2*i+n) * time.Second)
				}
				if err := s.UseAPIKeys(t.Context(), used); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, noting.Wait())
}
