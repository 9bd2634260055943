package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

func TestADirectoryInUseIsRefused(t *testing.T) {
	t.Parallel()
	directory := filepath.Join(t.TempDir(), "made", "on the way")
	first, err := Open(directory, Options{})
	require.NoError(t, err)
	_, err = Open(directory, Options{})
	require.ErrorIs(t, err, ErrInUse)
	require.ErrorContains(t, err, directory)
	require.NoError(t, first.Close())
	require.NoError(t, first.Close(), "closing again does no harm")
	second, err := Open(directory, Options{})
	require.NoError(t, err)
	require.NoError(t, second.Close())
}

// storeOfFormat makes a store that has jobs of every kind, and has it be of some format.
func storeOfFormat(t *testing.T, format byte) vfs.FS {
	t.Helper()
	fs := vfs.NewMem()
	s, err := open(fs, "store", Options{}, defaultLimits())
	require.NoError(t, err)
	fillWithEverything(t, s)
	_, err = s.Enqueue(t.Context(), []queue.NewJob{{Type: "build", Args: []byte(`"0123456789"`)}, {Type: "build"}})
	require.NoError(t, err)
	if format < formatWithBytes {
		withoutBytes(t, s)
	}
	require.NoError(t, s.db.Set([]byte(keyFormat), []byte{format}, pebble.Sync))
	require.NoError(t, s.Close())
	return fs
}

// withoutBytes makes c values what they were before they had how large the args of jobs are.
func withoutBytes(t *testing.T, s *Store) {
	t.Helper()
	keys, values := allKeys(t, s)
	for i, key := range keys {
		if key[0] != prefixTally {
			continue
		}
		tally, err := decodeTally(key, values[i], formatVersion)
		require.NoError(t, err)
		bytes := len(binary.AppendUvarint(nil, uint64(tally.bytes)))
		require.NoError(t, s.db.Set(key, values[i][:len(values[i])-bytes], pebble.Sync))
	}
}

func TestAnotherFormatIsRefused(t *testing.T) {
	t.Parallel()
	for _, format := range []byte{oldestFormat - 1, formatVersion + 1} {
		fs := storeOfFormat(t, format)
		want := fmt.Sprintf("the store has format %02x", format)
		_, err := open(fs, "store", Options{}, defaultLimits())
		require.ErrorContains(t, err, want)
		_, err = auditDirectory(t.Context(), fs, "store")
		require.ErrorContains(t, err, want)
	}
}

// What is only read keeps its format. What is opened gets this one, so that an older program leaves it
// alone.
func TestAnOlderFormatIsReadAndReplaced(t *testing.T) {
	t.Parallel()
	fs := storeOfFormat(t, oldestFormat)
	formatOf := func() byte {
		still, err := openStill(fs, "store")
		require.NoError(t, err)
		value, _, err := still.get([]byte(keyFormat))
		require.NoError(t, err)
		require.NoError(t, still.Close())
		return value[0]
	}
	audit, err := auditDirectory(t.Context(), fs, "store")
	require.NoError(t, err)
	require.Empty(t, audit.Differences)
	require.Equal(t, byte(oldestFormat), formatOf())
	source, err := openCopySource(fs, "store")
	require.NoError(t, err)
	require.NoError(t, source.Close())
	s, err := open(fs, "store", Options{}, defaultLimits())
	require.NoError(t, err)
	bytesOf := func() int64 {
		page, err := s.Queues(t.Context(), queue.LaneListing{Types: []string{"build"}, Limit: 1})
		require.NoError(t, err)
		require.Len(t, page.Queues, 1)
		return page.Queues[0].Bytes
	}
	s.audit(t)
	require.EqualValues(t, 12+4, bytesOf())
	l, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"build"}})
	require.NoError(t, err)
	_, err = s.RequeueOrFinishJob(t.Context(), l.Token, 0, queue.Outcome{})
	require.NoError(t, err)
	require.EqualValues(t, 4, bytesOf())
	s.audit(t)
	require.NoError(t, s.Close())
	require.Equal(t, byte(formatVersion), formatOf())
}

// ORIGIN 5 and 12.
func TestOneReadyJobWakesOneBlockedCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := OpenMemory(Options{})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		const callers = 200
		var woken, timedOut atomic.Int64
		for i := range callers {
			go func() {
				types := []string{"build", fmt.Sprint("other-", i)}
				switch _, err := s.Dequeue(ctx, queue.DequeueRequest{Types: types}); {
				case err == nil:
					woken.Add(1)
				case errors.Is(err, queue.ErrDequeueTimeout):
					timedOut.Add(1)
				}
			}()
			synctest.Wait() // it is in line before the next one comes
		}
		for i := range int64(20) {
			_, err := s.Enqueue(ctx, []queue.NewJob{{Type: "build"}})
			require.NoError(t, err)
			synctest.Wait()
			require.Equal(t, i+1, woken.Load())
			require.Zero(t, timedOut.Load())
		}
		cancel()
		synctest.Wait()
		require.Equal(t, int64(callers-20), timedOut.Load())
		s.audit(t)
		require.NoError(t, s.Close())
	})
}

func TestAnEnqueueAndTheClaimThatItWakesShareOneSync(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := OpenMemory(Options{})
		require.NoError(t, err)
		leased := make(chan uuid.UUID, 1)
		go func() {
			if l, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"build"}}); err == nil {
				leased <- l.JobID
			}
		}()
		synctest.Wait()
		before := s.syncer.committed.Load()
		statuses, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "build"}})
		require.NoError(t, err)
		require.Equal(t, statuses[0].ID, <-leased)
		require.Equal(t, before+1, s.syncer.committed.Load(), "one change made both")
		require.NoError(t, s.Close())
	})
}

func TestADequeueEndsOnTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := OpenMemory(Options{})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err = s.Dequeue(ctx, queue.DequeueRequest{Types: []string{"build"}})
		require.ErrorIs(t, err, queue.ErrDequeueTimeout)
		require.Equal(t, time.Minute, time.Since(start))
		require.NoError(t, s.Close())
	})
}

func TestCloseEndsThoseWhoWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := OpenMemory(Options{})
		require.NoError(t, err)
		statuses, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "other"}})
		require.NoError(t, err)
		ended := make(chan error, 2)
		go func() {
			_, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"build"}})
			ended <- err
		}()
		go func() {
			_, err := s.Await(t.Context(), statuses[0].ID)
			ended <- err
		}()
		synctest.Wait()
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-ended, queue.ErrUnavailable)
		require.ErrorIs(t, <-ended, queue.ErrUnavailable)
	})
}

func TestLanesThatAreEmptyAreForgotten(t *testing.T) {
	t.Parallel()
	s, err := OpenMemory(Options{})
	require.NoError(t, err)
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 100 {
		jobType := fmt.Sprint("type-", i)
		_, err := s.Dequeue(over, queue.DequeueRequest{Types: []string{jobType}})
		require.ErrorIs(t, err, queue.ErrDequeueTimeout)
		_, err = s.Enqueue(t.Context(), []queue.NewJob{{Type: jobType}})
		require.NoError(t, err)
		_, err = s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{jobType}})
		require.NoError(t, err)
	}
	require.Empty(t, s.lanes)
	require.NoError(t, s.Close())
}

func TestALaneWhoseBacklogWasCanceledHoldsNothingAndIsForgottenWithItsJobs(t *testing.T) {
	t.Parallel()
	s, err := open(vfs.NewMem(), "store", Options{}, smallLimits())
	require.NoError(t, err)
	jobs := make([]queue.NewJob, 5*s.limits.windowRefill) // more than the window has
	for i := range jobs {
		jobs[i] = queue.NewJob{Type: "build"}
	}
	enqueued, err := s.Enqueue(t.Context(), jobs)
	require.NoError(t, err)
	ids := make([]uuid.UUID, len(enqueued))
	for i := range enqueued {
		ids[i] = enqueued[i].ID
	}
	changed, err := s.CancelJobs(t.Context(), ids)
	require.NoError(t, err)
	require.Equal(t, len(ids), changed)
	for _, l := range s.lanes {
		require.Nil(t, l.window, "what it was made in would stay")
	}
	changed, err = s.DeleteJobs(t.Context(), ids)
	require.NoError(t, err)
	require.Equal(t, len(ids), changed)
	require.Empty(t, s.lanes)
	require.NoError(t, s.Close())
}

func TestOpeningReadsNoBacklog(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	s, err := open(fs, "store", Options{}, defaultLimits())
	require.NoError(t, err)
	jobs := make([]queue.NewJob, 10*defaultLimits().windowRefill)
	for i := range jobs {
		jobs[i] = queue.NewJob{Type: "build"}
	}
	statuses, err := s.Enqueue(t.Context(), jobs)
	require.NoError(t, err)
	require.LessOrEqual(t, len(s.lanes[queue.Lane{Channel: "default", Type: "build"}].window), 2*defaultLimits().windowRefill)
	require.NoError(t, s.Close())

	s, err = open(fs, "store", Options{}, defaultLimits())
	require.NoError(t, err)
	require.Len(t, s.lanes, 1)
	require.Empty(t, s.lanes[queue.Lane{Channel: "default", Type: "build"}].window)
	l, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"build"}})
	require.NoError(t, err)
	require.Equal(t, statuses[0].ID, l.JobID)
	require.Len(t, s.lanes[queue.Lane{Channel: "default", Type: "build"}].window, firstRefill-1)
	require.NoError(t, s.Close())
}

func TestAStoreKeepsLessInMemoryWhereTheProcessHasLittle(t *testing.T) {
	t.Parallel()
	enough := defaultLimits()
	require.Equal(t, enough, enough.within(0))
	require.Equal(t, enough, enough.within(enoughMemory))
	require.Equal(t, enough, enough.within(1<<40))
	little := enough.within(64 << 20)
	require.Equal(t, enough.settleStep, little.settleStep)
	require.Equal(t, int64(16<<20), little.cacheSize)
	require.Equal(t, int64(4<<20), little.memTableSize)
	require.Equal(t, 1<<13, little.eventsKept)
	require.Equal(t, 1<<12, little.recordsKept)
}

func TestRecordCacheIsBounded(t *testing.T) {
	t.Parallel()
	const most = 1000
	c := recordCache{most: most}
	first := uuid.New()
	c.put(first, record{})
	for i := range 3 * most {
		c.put(uuid.New(), record{})
		if i%100 == 0 {
			_, ok := c.get(first)
			require.True(t, ok, "what is used lives on")
		}
	}
	require.LessOrEqual(t, len(c.young)+len(c.old), 2*most)
	c.forget(first)
	_, ok := c.get(first)
	require.False(t, ok)
}
