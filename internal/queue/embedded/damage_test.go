package embedded

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// ORIGIN 20.
func TestADamagedRecordHarmsNoOtherJob(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(*Store, uuid.UUID) error{
		"record": func(s *Store, id uuid.UUID) error {
			return s.db.Set(idKey(nil, prefixRecord, id), []byte{1}, pebble.Sync)
		},
		"no record": func(s *Store, id uuid.UUID) error {
			return s.db.Delete(idKey(nil, prefixRecord, id), pebble.Sync)
		},
		"job": func(s *Store, id uuid.UUID) error {
			return s.db.Set(idKey(nil, prefixJob, id), []byte{0xff}, pebble.Sync)
		},
		"no job": func(s *Store, id uuid.UUID) error { return s.db.Delete(idKey(nil, prefixJob, id), pebble.Sync) },
		"ready index": func(s *Store, _ uuid.UUID) error {
			return s.db.Set(readyKey(nil, queue.Lane{Channel: queue.DefaultChannel, Type: "build"}, positionOf(0, 1)), []byte("?"), pebble.Sync)
		},
	} {
		for _, running := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s running=%t", name, running), func(t *testing.T) {
				t.Parallel()
				fs := vfs.NewMem()
				s, err := open(fs, "store", Options{}, defaultLimits())
				require.NoError(t, err)
				statuses, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "build"}, {Type: "build"}})
				require.NoError(t, err)
				bad, good := statuses[0].ID, statuses[1].ID
				if name != "ready index" {
					l, err := s.DequeueByID(t.Context(), bad, queue.Holder{}, queue.Once{})
					require.NoError(t, err)
					if !running { // once more: what nothing has happened to has no record
						_, err := s.Release(t.Context(), l.Token, 0)
						require.NoError(t, err)
					}
				}
				require.NoError(t, damage(s, bad))
				require.NoError(t, s.Close())

				logger := new(recordingLogger)
				s, err = open(fs, "store", Options{Logger: logger}, defaultLimits())
				require.NoError(t, err, "the store opens all the same")
				l, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"build"}})
				require.NoError(t, err)
				require.Equal(t, good, l.JobID)
				require.Positive(t, logger.errors.Load(), "and the loss is named")
				require.NoError(t, s.Close())
			})
		}
	}
}

func TestAJobWithNeitherRecordNorReadyEntryIsDamaged(t *testing.T) {
	t.Parallel()
	s, err := OpenMemory(Options{})
	require.NoError(t, err)
	statuses, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "build"}})
	require.NoError(t, err)
	id := statuses[0].ID
	status, err := s.JobStatus(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, statuses[0].Status, status)
	require.NoError(t, s.db.Delete(readyKey(nil, queue.Lane{Channel: queue.DefaultChannel, Type: "build"}, positionOf(0, 1)), pebble.Sync))
	_, err = s.JobStatus(t.Context(), id)
	require.ErrorIs(t, err, queue.ErrDamaged)
	require.NoError(t, s.Close())
}

func TestADamagedJobThatExpiresHoldsUpNothingElseThatIsDue(t *testing.T) {
	t.Parallel()
	c := &clock{time: time.Now()}
	s, err := open(vfs.NewMem(), "store", Options{Clock: c.now}, defaultLimits())
	require.NoError(t, err)
	enqueued, err := s.Enqueue(t.Context(), []queue.NewJob{
		{Type: "build", ExpiresAt: c.now().Add(time.Second)}, {Type: "build", Delay: 2 * time.Second},
	})
	require.NoError(t, err)
	require.NoError(t, s.db.Set(idKey(nil, prefixJob, enqueued[0].ID), []byte{0xff}, pebble.Sync))
	c.advance(time.Minute)
	_, err = s.doDue()
	require.NoError(t, err)
	l, err := s.Dequeue(doneContext(t), queue.DequeueRequest{Types: []string{"build"}})
	require.NoError(t, err)
	require.Equal(t, enqueued[1].ID, l.JobID)
	require.NoError(t, s.Close())
}

func TestAKeyedDequeueThatWasGivenNothingIsNotHeldToIt(t *testing.T) {
	t.Parallel()
	s, err := OpenMemory(Options{})
	require.NoError(t, err)
	enqueue := func() uuid.UUID {
		enqueued, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "build"}})
		require.NoError(t, err)
		return enqueued[0].ID
	}
	require.NoError(t, s.db.Set(idKey(nil, prefixJob, enqueue()), []byte{0xff}, pebble.Sync))
	request := queue.DequeueRequest{Types: []string{"build"}, Once: queue.Once{Key: "k"}}
	_, err = s.Dequeue(doneContext(t), request)
	require.ErrorIs(t, err, queue.ErrDequeueTimeout, "the only job cannot be handed out")
	good := enqueue()
	l, err := s.Dequeue(doneContext(t), request)
	require.NoError(t, err)
	require.Equal(t, good, l.JobID)
	require.NoError(t, s.Close())
}

type recordingLogger struct {
	queue.NopLogger
	errors atomic.Int64
}

func (l *recordingLogger) Error(error, string, ...string) { l.errors.Add(1) }

func TestARunningJobThatCannotBeReadFailsAtTheNextStart(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	s, err := open(fs, "store", Options{}, defaultLimits())
	require.NoError(t, err)
	statuses, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "build"}})
	require.NoError(t, err)
	id := statuses[0].ID
	after, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "after", Dependencies: []uuid.UUID{id}, RunIf: queue.AllFinished}})
	require.NoError(t, err)
	l, err := s.DequeueByID(t.Context(), id, queue.Holder{}, queue.Once{})
	require.NoError(t, err)
	require.NoError(t, s.db.Set(idKey(nil, prefixJob, id), []byte{0xff}, pebble.Sync))
	require.NoError(t, s.Close())

	s, err = open(fs, "store", Options{}, defaultLimits())
	require.NoError(t, err)
	status, err := s.JobStatus(t.Context(), after[0].ID)
	require.NoError(t, err)
	require.Equal(t, queue.Pending, status.State, "its dependents do not wait for ever")
	_, err = s.RequeueOrFinishJob(t.Context(), l.Token, 0, queue.Outcome{})
	require.ErrorIs(t, err, queue.ErrAlreadyReported)
	require.NoError(t, s.Close())
}

func TestDamagedIndexesDoNotKeepTheStoreFromOpening(t *testing.T) {
	t.Parallel()
	id := uuid.New()
	for name, key := range map[string][]byte{
		"settlement of no job":    idKey(nil, prefixSettlement, id),
		"settlement without id":   {prefixSettlement, 1},
		"running job of no job":   runningKey(nil, 7),
		"running job, short key":  {prefixRunning, 1},
		"ready, length too large": {prefixReady, 255},
		"ready, no type":          {prefixReady, 1, 'a', 200, 'b'},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fs := vfs.NewMem()
			s, err := open(fs, "store", Options{}, defaultLimits())
			require.NoError(t, err)
			_, err = s.Enqueue(t.Context(), []queue.NewJob{{Type: "build"}})
			require.NoError(t, err)
			require.NoError(t, s.db.Set(key, bytes.Repeat([]byte{1}, 16), pebble.Sync))
			require.NoError(t, s.Close())
			logger := new(recordingLogger)
			s, err = open(fs, "store", Options{Logger: logger}, defaultLimits())
			require.NoError(t, err)
			require.Positive(t, logger.errors.Load(), "the loss is named")
			_, err = s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"build"}})
			require.NoError(t, err)
			require.NoError(t, s.Close())
		})
	}
}

// GUARANTEES S18.
func TestAFlippedByteInATableIsReportedByTheReadsThatMeetIt(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	s, err := open(fs, "store", Options{}, defaultLimits())
	require.NoError(t, err)
	statuses, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "build"}})
	require.NoError(t, err)
	require.NoError(t, s.db.Flush())
	require.NoError(t, s.Close())
	flipTables(t, fs)

	var failed atomic.Bool
	s, err = open(fs, "store", Options{OnFailure: func(error) { failed.Store(true) }}, defaultLimits())
	if err == nil {
		_, err = s.Job(t.Context(), statuses[0].ID)
		require.NoError(t, s.Close())
	}
	require.ErrorContains(t, err, "checksum mismatch", "damage is never passed off as a value")
	require.False(t, failed.Load(), "damage is no failure of the log")
}

// flipTables flips a bit near the front, where the data is, of every table.
func flipTables(t *testing.T, fs vfs.FS) {
	t.Helper()
	names, err := fs.List("store")
	require.NoError(t, err)
	tables := 0
	for _, name := range names {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		tables++
		path := fs.PathJoin("store", name)
		in, err := fs.Open(path)
		require.NoError(t, err)
		data, err := io.ReadAll(in)
		require.NoError(t, err)
		require.NoError(t, in.Close())
		data[20] ^= 1
		out, err := fs.Create(path, vfs.WriteCategoryUnspecified)
		require.NoError(t, err)
		_, err = out.Write(data)
		require.NoError(t, err)
		require.NoError(t, out.Sync())
		require.NoError(t, out.Close())
	}
	require.Positive(t, tables)
}

// GUARANTEES L6.
func TestAReadThatFailsForAWhileCostsNoJobAnything(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	s, err := open(disk, "store", Options{}, defaultLimits())
	require.NoError(t, err)
	jobs := make([]queue.NewJob, 10)
	for i := range jobs {
		jobs[i] = queue.NewJob{Type: "build", Args: fmt.Appendf(nil, "%q", strings.Repeat("x", 100_000))}
	}
	jobs[0].Type = "other" // it is beside what opening reads
	statuses, err := s.Enqueue(t.Context(), jobs)
	require.NoError(t, err)
	require.NoError(t, s.db.Flush())
	require.NoError(t, s.Close())

	var after, reads atomic.Int64
	after.Store(1 << 60)
	fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsRead && strings.HasSuffix(op.Path, ".sst") && reads.Add(1) > after.Load() {
			return errInjected
		}
		return nil
	}))
	s, err = open(fs, "store", Options{}, defaultLimits())
	require.NoError(t, err)
	// At first nothing can be read, then one read more at each try.
	failures := 0
	for ok := int64(0); ; ok++ {
		reads.Store(0)
		after.Store(ok)
		l, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"build"}})
		if err == nil {
			require.Equal(t, statuses[1].ID, l.JobID)
			break
		}
		require.NotErrorIs(t, err, queue.ErrDequeueTimeout)
		failures++
	}
	require.Positive(t, failures)
	after.Store(1 << 60)
	for _, job := range statuses {
		status, err := s.JobStatus(t.Context(), job.ID)
		require.NoError(t, err)
		require.NotEqual(t, queue.Failed, status.State)
		require.Zero(t, status.Retries)
	}
	require.NoError(t, s.Close())
}

// GUARANTEES L6.
func TestAReadThatFailsWhileTheStoreIsOpenedCostsNoLeaseAnything(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	s, err := open(disk, "store", Options{}, smallLimits())
	require.NoError(t, err)
	var tokens []uuid.UUID
	for range 3 { // each in a block of its own
		_, err = s.Enqueue(t.Context(), []queue.NewJob{{Type: "build", Args: fmt.Appendf(nil, "%q", strings.Repeat("x", 100_000))}})
		require.NoError(t, err)
		l, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"build"}})
		require.NoError(t, err)
		tokens = append(tokens, l.Token)
	}
	require.NoError(t, s.db.Flush())
	require.NoError(t, s.Close())

	failed := requireOpenedDespiteFailingReads(t, disk, func(s *Store) {
		for _, token := range tokens {
			answer, err := s.RefreshHeartbeat(t.Context(), token, queue.Beat{})
			require.NoError(t, err)
			require.False(t, answer.Canceled)
		}
	})
	require.Greater(t, failed, len(tokens))
}

func TestAReadThatFailsWhileTheStoreIsOpenedLeavesNoDependentUntold(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	h := newHarness(t, disk, "store", smallLimits())
	// The root's record is in a block that nothing else reads: before it are the records of others, and
	// behind it what they wait for.
	between := make([]queue.NewJob, 2000)
	for i := range between {
		between[i] = queue.NewJob{Type: "later", Delay: time.Hour}
	}
	_, err := h.store.Enqueue(t.Context(), between)
	require.NoError(t, err)
	g := newCascade(t, h.store)
	h.store.unsettled = g.cancelRoot(t, h.store)
	require.NoError(t, h.store.db.Flush())
	crashed := disk.CrashClone(vfs.CrashCloneCfg{})
	require.NoError(t, h.store.CancelJob(t.Context(), g.root))
	h.Close(t)

	failed := requireOpenedDespiteFailingReads(t, crashed, func(s *Store) {
		require.NoError(t, s.CancelJob(t.Context(), g.root)) // a repetition goes on with what could not be done
		g.require(t, s)
	})
	require.Positive(t, failed)
}

// requireOpenedDespiteFailingReads opens a copy of a store again and again. At each try another one of
// the reads fails that opening makes, once. Then it cannot be opened, or works. It returns how many
// tries failed.
func requireOpenedDespiteFailingReads(t *testing.T, disk *vfs.MemFS, works func(*Store)) (failed int) {
	t.Helper()
	for n := int64(1); ; n++ {
		try := vfs.NewMem()
		_, err := vfs.Clone(disk, try, "store", "store")
		require.NoError(t, err)
		var reads, last atomic.Int64
		last.Store(n)
		s, err := open(errorfs.Wrap(try, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsRead && strings.HasSuffix(op.Path, ".sst") && reads.Add(1) == last.Load() {
				return errInjected
			}
			return nil
		})), "store", Options{}, smallLimits())
		last.Store(0)
		if err == nil {
			works(s)
			require.NoError(t, s.Close())
			if reads.Load() < n {
				return failed
			}
			continue
		}
		require.ErrorIs(t, err, errInjected)
		failed++
	}
}
