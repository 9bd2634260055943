package postgres

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

// What is damaged harms nothing else. The audit tells of it.

// fallDue has everything be due that is to happen at some time.
func fallDue(t *testing.T, dsn string) {
	t.Helper()
	execute(t, dsn, `
UPDATE longshore.waiting SET run_at = longshore.now() WHERE run_at IS NOT NULL;
UPDATE longshore.waiting SET expires_at = longshore.now() WHERE expires_at IS NOT NULL;
UPDATE longshore.ready SET expires_at = longshore.now() WHERE expires_at IS NOT NULL;
UPDATE longshore.leases SET deadline = longshore.now() WHERE deadline IS NOT NULL`)
}

func TestJobsThatAreLostKeepNoOthersFromFallingDue(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Database(t)
	_, err := Migrate(t.Context(), dsn)
	require.NoError(t, err)
	s := openServer(t, dsn, Options{})
	later := time.Now().Add(time.Hour)
	add(t, s,
		queue.NewJob{Type: "lost", RunAt: later}, queue.NewJob{Type: "lost", ExpiresAt: later},
		queue.NewJob{Name: "open", Type: "lost"}, queue.NewJob{Type: "lost", Needs: []queue.Need{{Name: "open"}}, ExpiresAt: later},
		queue.NewJob{Type: "runs", Timeout: time.Hour})
	take(t, s, "runs")
	execute(t, dsn, `DELETE FROM longshore.jobs`)
	fallDue(t, dsn)
	id := add(t, s, queue.NewJob{Type: "after", Delay: time.Second})[0]
	l := get(t, takeLater(t, s, "after"))
	require.NoError(t, l.err)
	require.Equal(t, id, l.lease.JobID)
	until, err := s.untilDue(t.Context())
	require.NoError(t, err)
	require.Positive(t, until, "what cannot be done is due for ever")
	audit, err := Audit(t.Context(), dsn)
	require.NoError(t, err)
	for _, state := range []string{"1", "2", "3", "4"} {
		require.True(t, slices.ContainsFunc(audit.Differences, func(line string) bool {
			return strings.HasPrefix(line, "a job in state "+state+" at place ") && strings.HasSuffix(line, " does not exist")
		}), audit.Differences)
	}
}

func TestAJobWithAUniqueKeyThatCannotBeReadExpires(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	s := openServer(t, dsn, Options{})
	expires := time.Now().Add(time.Hour)
	ids := add(t, s, queue.NewJob{Type: "damaged", UniqueKey: "u", ExpiresAt: expires}, queue.NewJob{Type: "damaged", UniqueKey: "v"})
	execute(t, dsn, `UPDATE longshore.jobs SET terms = terms || '{"priority":"?"}'`)
	fallDue(t, dsn)
	id := add(t, s, queue.NewJob{Type: "after", Delay: time.Second})[0]
	l := get(t, takeLater(t, s, "after"))
	require.NoError(t, l.err)
	require.Equal(t, id, l.lease.JobID)
	require.NoError(t, s.CancelJob(t.Context(), ids[1]))
	added, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "damaged", UniqueKey: "u"}, {Type: "damaged", UniqueKey: "v"}})
	require.NoError(t, err)
	require.False(t, added[0].Existing, "its key is free again")
	require.False(t, added[1].Existing)
}

func TestAJobThatCannotBeReadFailsWhenItIsLeased(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	s := openServer(t, dsn, Options{})
	ids := add(t, s, queue.NewJob{Type: "one"}, queue.NewJob{Type: "one"})
	_, err := s.pool.Exec(t.Context(), `UPDATE longshore.jobs SET labels = '[]' WHERE id = $1`, ids[0])
	require.NoError(t, err)
	answer, err := s.DequeueBatch(t.Context(), queue.BatchRequest{DequeueRequest: queue.DequeueRequest{Types: []string{"one"}}, Max: 2})
	require.NoError(t, err)
	require.Len(t, answer.Leases, 1)
	require.Equal(t, ids[1], answer.Leases[0].JobID)
	var reason string
	require.NoError(t, s.pool.QueryRow(t.Context(), `SELECT reason FROM longshore.ended WHERE id = $1`, ids[0]).Scan(&reason))
	require.Equal(t, queue.ReasonDamaged, reason)
}

// Nobody can be handed a job of which nothing but its place in line is left. It is counted no more, and the log tells.
func TestAJobThatIsLostAndClaimedIsNotCounted(t *testing.T) {
	t.Parallel()
	for name, types := range map[string][]string{"one line": {"one"}, "several": {"one", "two"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := migrated(t, pgtest.Database(t))
			log := &keptLog{calmLog: newCalmLog(t)}
			s := openServer(t, dsn, Options{Logger: log})
			ids := add(t, s, queue.NewJob{Type: "one", Args: []byte("[1]")}, queue.NewJob{Type: "one"}, queue.NewJob{Type: types[len(types)-1]})
			_, err := s.pool.Exec(t.Context(), `DELETE FROM longshore.jobs WHERE id = $1`, ids[0])
			require.NoError(t, err)
			answer, err := s.DequeueBatch(t.Context(), queue.BatchRequest{DequeueRequest: queue.DequeueRequest{Types: types}, Max: 3})
			require.NoError(t, err)
			require.Len(t, answer.Leases, 2)
			page, err := s.Queues(t.Context(), queue.LaneListing{Limit: 10})
			require.NoError(t, err)
			require.Zero(t, page.Total[queue.Pending])
			require.Equal(t, int64(2), page.Total[queue.Running])
			require.Contains(t, log.errors(), ids[0].String())
			require.Eventually(t, func() bool {
				page, err := s.Queues(t.Context(), queue.LaneListing{Types: []string{"one"}, Limit: 10})
				return err == nil && page.Queues[0].Bytes != queue.UnknownBytes
			}, soon, tick, "nobody adds up how large the others are")
		})
	}
}

// keptLog is a calmLog that remembers errors.
type keptLog struct {
	*calmLog
	mu   sync.Mutex
	kept []string // guarded by mu
}

func (l *keptLog) Error(err error, msg string, keysAndValues ...string) {
	l.calmLog.Error(err, msg, keysAndValues...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = append(l.kept, fmt.Sprint(msg, keysAndValues))
}

func (l *keptLog) errors() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.kept, "\n")
}

// Of a job that others depend on, or that depends on others, only what was given for it may be left.
func TestJobsAreOverAndPrunedThoughThoseThatDependOnThemAreLost(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Database(t)
	_, err := Migrate(t.Context(), dsn)
	require.NoError(t, err)
	s := openServer(t, dsn, Options{})
	ids := add(t, s, queue.NewJob{Type: "one", Name: "one"}, queue.NewJob{Type: "lost", Needs: []queue.Need{{Name: "one"}}},
		queue.NewJob{Type: "two", Needs: []queue.Need{{Name: "one"}}})
	execute(t, dsn, `DELETE FROM longshore.waiting WHERE id = '`+ids[1].String()+`'`)
	added := add(t, s, queue.NewJob{Type: "canceled"})
	canceled, err := s.CancelJobs(t.Context(), append(added, ids[1]))
	require.NoError(t, err)
	require.Equal(t, 1, canceled)
	for _, name := range []string{"one", "two"} {
		l := take(t, s, name)
		done(t, s, &l)
	}
	pruned, err := s.Prune(t.Context(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.True(t, pruned)
	_, err = s.JobStatus(t.Context(), ids[0])
	require.ErrorIs(t, err, queue.ErrNotExist)
}
