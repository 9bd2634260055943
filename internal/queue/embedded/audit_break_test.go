package embedded

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// fillWithEverything makes jobs of every kind that there is.
func fillWithEverything(t *testing.T, s *Store) {
	t.Helper()
	add := func(n queue.NewJob) uuid.UUID {
		enqueued, err := s.Enqueue(t.Context(), []queue.NewJob{n})
		require.NoError(t, err)
		return enqueued[0].ID
	}
	lease := func(jobType string) queue.Lease {
		l, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{jobType}, Worker: "w"})
		require.NoError(t, err)
		return l
	}
	finish := func(l queue.Lease, outcome queue.Outcome) {
		_, err := s.RequeueOrFinishJob(t.Context(), l.Token, 0, outcome)
		require.NoError(t, err)
	}
	broken := queue.Outcome{Error: &queue.JobError{Reason: "broken"}}
	canceled := add(queue.NewJob{Type: "canceled"})
	require.NoError(t, s.CancelJob(t.Context(), canceled))
	first := add(queue.NewJob{Type: "first"})
	blocked := add(queue.NewJob{Type: "last", Dependencies: []uuid.UUID{first}, UniqueKey: "k"})
	later := add(queue.NewJob{Type: "last", Dependencies: []uuid.UUID{first}, RunAt: time.Now().Add(time.Hour), ExpiresAt: time.Now().Add(2 * time.Hour)})
	finish(lease("first"), queue.Outcome{})
	require.NoError(t, s.DeleteJob(t.Context(), first)) // which blocked, pending now, needs
	require.NoError(t, s.UpdateJob(t.Context(), blocked, queue.Update{Priority: new(3)}))
	require.NotEqual(t, blocked, later)
	add(queue.NewJob{Type: "failed"})
	l := lease("failed")
	_, err := s.Release(t.Context(), l.Token, 0)
	require.NoError(t, err)
	l = lease("failed")
	_, err = s.RefreshHeartbeat(t.Context(), l.Token, queue.Beat{PartialResult: []byte("1")})
	require.NoError(t, err)
	finish(l, broken)
	running := add(queue.NewJob{Type: "running"})
	lease("running")
	add(queue.NewJob{Type: "blocked", Dependencies: []uuid.UUID{running, canceled}, RunIf: queue.AllFinished})
	add(queue.NewJob{Type: "pending"})
	_, err = s.EnqueueOnce(t.Context(), []queue.NewJob{{Type: "once"}}, queue.Once{Key: "k"})
	require.NoError(t, err)
	_, err = s.CreateAPIKey(t.Context(), queue.NewAPIKey{ID: "id", Name: "name", Scopes: []string{"read"}, Channels: []string{"a"}})
	require.NoError(t, err)
}

// allKeys returns everything that is on disk.
func allKeys(t *testing.T, s *Store) (keys, values [][]byte) {
	t.Helper()
	require.NoError(t, s.scan([]byte{0}, []byte{0xff}, func(key, value []byte) (bool, error) {
		keys, values = append(keys, bytes.Clone(key)), append(values, bytes.Clone(value))
		return true, nil
	}))
	return keys, values
}

func differencesOf(t *testing.T, s *Store) []string {
	t.Helper()
	a, err := s.Audit(t.Context())
	require.NoError(t, err)
	require.Equal(t, len(a.Differences) == 0, a.Sound())
	return a.Differences
}

// Whatever is taken away is missed, whatever is put beside it is found, and neither is anything
// else, nor costs the audit its life.
func TestTheAuditMissesWhatIsGoneAndFindsWhatIsStray(t *testing.T) {
	t.Parallel()
	s, err := OpenMemory(Options{})
	require.NoError(t, err)
	fillWithEverything(t, s)
	require.Empty(t, differencesOf(t, s))
	keys, values := allKeys(t, s)
	prefixes := make(map[byte]bool)
	for i, key := range keys {
		prefixes[key[0]] = true
		name := fmt.Sprintf("%c %x", key[0], key[1:])
		forgotten := false // a call that nobody repeats
		if e, ok := splitDueKey(key); key[0] == prefixOnce || key[0] == prefixDue && ok && e.kind == dueToForget {
			forgotten = true
		}
		if string(key) != keyFormat && key[0] != prefixOnce && key[0] != prefixAPIKey { // of which nothing else tells
			require.NoError(t, s.db.Delete(key, pebble.NoSync))
			require.NotEmpty(t, differencesOf(t, s), "%s is gone", name)
			require.NoError(t, s.db.Set(key, values[i], pebble.NoSync))
		}
		if key[0] == prefixMeta || forgotten {
			continue
		}
		stray := bytes.Clone(key)
		stray[len(stray)-1] ^= 1
		if _, found, err := s.get(stray); err != nil || found {
			continue // it is the neighbour's
		}
		require.NoError(t, s.db.Set(stray, values[i], pebble.NoSync))
		require.NotEmpty(t, differencesOf(t, s), "%s has a stray twin", name)
		require.NoError(t, s.db.Delete(stray, pebble.NoSync))
		if len(values[i]) > 0 {
			require.NoError(t, s.db.Set(key, values[i][:len(values[i])-1], pebble.NoSync))
			require.NotEmpty(t, differencesOf(t, s), "%s is cut", name)
			require.NoError(t, s.db.Set(key, values[i], pebble.NoSync))
		}
	}
	for _, prefix := range "jsoqdleputfyacik" {
		require.True(t, prefixes[byte(prefix)], "there is no key of %c", prefix)
	}
	require.Empty(t, differencesOf(t, s))
	require.NoError(t, s.Close())
}

func TestTheAuditComparesHowLargeJobsAre(t *testing.T) {
	t.Parallel()
	s, err := OpenMemory(Options{})
	require.NoError(t, err)
	fillWithEverything(t, s)
	key := laneKey(nil, prefixTally, queue.Lane{Channel: "default", Type: "pending"})
	value, _, err := s.get(key)
	require.NoError(t, err)
	value[len(value)-1]++
	require.NoError(t, s.db.Set(key, value, pebble.NoSync))
	require.Equal(t, []string{"channel default, type pending: its jobs that are not over are counted as 5 bytes and are 4"}, differencesOf(t, s))
	require.NoError(t, s.Close())
}

func TestTheAuditNamesNoTokenAndStopsCounting(t *testing.T) {
	t.Parallel()
	s, err := OpenMemory(Options{})
	require.NoError(t, err)
	fillWithEverything(t, s)
	tokens := make([]uuid.UUID, queue.MaxDifferences+7)
	for i := range tokens {
		tokens[i] = uuid.New()
		require.NoError(t, s.db.Set(idKey(nil, prefixEndedLease, tokens[i]), []byte("x"), pebble.NoSync))
	}
	a, err := s.Audit(t.Context())
	require.NoError(t, err)
	require.Len(t, a.Differences, queue.MaxDifferences)
	require.GreaterOrEqual(t, a.More, 7)
	all := strings.Join(a.Differences, "\n")
	for _, token := range tokens {
		require.NotContains(t, all, token.String())
		require.NotContains(t, all, fmt.Sprintf("%x", token[:]))
	}
	require.NoError(t, s.Close())
}

func TestAStoreIsAuditedWithoutBeingChanged(t *testing.T) {
	t.Parallel()
	directory := filepath.Join(t.TempDir(), "store")
	_, err := AuditDirectory(t.Context(), directory)
	require.ErrorContains(t, err, "there is no store in "+directory)
	require.NoDirExists(t, directory)

	s, err := Open(directory, Options{})
	require.NoError(t, err)
	fillWithEverything(t, s)
	_, err = AuditDirectory(t.Context(), directory)
	require.ErrorIs(t, err, ErrInUse)
	require.NoError(t, s.Close())
	before := filesOf(t, directory)
	a, err := AuditDirectory(t.Context(), directory)
	require.NoError(t, err)
	require.Empty(t, a.Differences)
	require.Equal(t, int64(9), a.Jobs)
	require.Equal(t, int64(8), a.Counts.Total(), "one was deleted")
	require.Equal(t, before, filesOf(t, directory))

	s, err = Open(directory, Options{})
	require.NoError(t, err)
	require.NoError(t, s.db.Delete(laneKey(nil, prefixTally, queue.Lane{Channel: "default", Type: "pending"}), pebble.Sync))
	require.NoError(t, s.Close())
	a, err = AuditDirectory(t.Context(), directory)
	require.NoError(t, err)
	require.Equal(t, []string{"channel default, type pending: its jobs are not counted"}, a.Differences)
}

// filesOf returns the files of a directory with their contents.
func filesOf(t *testing.T, directory string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(directory)
	require.NoError(t, err)
	files := make(map[string]string)
	for _, entry := range entries {
		content, err := os.ReadFile(filepath.Join(directory, entry.Name()))
		require.NoError(t, err)
		files[entry.Name()] = string(content)
	}
	return files
}
