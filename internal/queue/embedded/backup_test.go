package embedded

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// What was acknowledged before a backup is in it, whatever goes on meanwhile, and it is sound.
func TestABackupUnderLoadIsAStore(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	s, err := Open(filepath.Join(directory, "store"), Options{})
	require.NoError(t, err)
	fillWithEverything(t, s)
	var ids []uuid.UUID
	for range 100 {
		enqueued, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "work"}})
		require.NoError(t, err)
		ids = append(ids, enqueued[0].ID)
	}
	held, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"work"}})
	require.NoError(t, err)

	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				_, err := s.Enqueue(t.Context(), []queue.NewJob{{Type: "later"}})
				if err == nil {
					var l queue.Lease
					if l, err = s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"later"}}); err == nil {
						_, err = s.RequeueOrFinishJob(t.Context(), l.Token, 0, queue.Outcome{})
					}
				}
				if err != nil {
					t.Errorf("the load: %v", err)
					return
				}
			}
		})
	}
	backup := filepath.Join(directory, "backup")
	size, err := s.Backup(t.Context(), backup)
	require.NoError(t, err)
	require.Positive(t, size)
	keys, err := s.APIKeys(t.Context(), queue.APIKeyListing{Limit: 10})
	require.NoError(t, err)
	require.Len(t, keys.Keys, 1)
	backedUp, err := APIKeysIn(backup)
	require.NoError(t, err)
	require.Equal(t, keys.Keys, backedUp)
	_, err = s.Backup(t.Context(), backup)
	require.ErrorIs(t, err, queue.ErrBackupExists)
	close(stop)
	load.Wait()
	later, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"work"}})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoDirExists(t, backup+partialSuffix)

	a, err := AuditDirectory(t.Context(), backup)
	require.NoError(t, err)
	require.Empty(t, a.Differences)
	for range 2 {
		s, err = Open(backup, Options{})
		require.NoError(t, err)
		require.NoFileExists(t, filepath.Join(backup, backupMark))
		for _, id := range ids {
			status, err := s.JobStatus(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, queue.Pending, status.State)
			require.Zero(t, status.Retries, "it cost nothing")
		}
		_, err = s.RequeueOrFinishJob(t.Context(), held.Token, 0, queue.Outcome{})
		require.ErrorIs(t, err, queue.ErrLeaseLost)
		_, err = s.RequeueOrFinishJob(t.Context(), later.Token, 0, queue.Outcome{})
		require.ErrorIs(t, err, queue.ErrNotExist, "it was granted after the backup")
		tokens, err := s.Heartbeats(t.Context(), 0)
		require.NoError(t, err)
		require.Empty(t, tokens)
		s.audit(t)
		require.NoError(t, s.Close())
	}
	s, err = Open(backup, Options{})
	require.NoError(t, err)
	l, err := s.Dequeue(t.Context(), queue.DequeueRequest{Types: []string{"work"}})
	require.NoError(t, err)
	require.Equal(t, held.JobID, l.JobID)
	require.Equal(t, uint64(2), l.Attempt, "the fencing number goes on")
	require.NoError(t, s.Close())
	s, err = Open(backup, Options{})
	require.NoError(t, err)
	require.NotNil(t, s.leases.get(l.Token), "it is a store like any other now")
	require.NoError(t, s.Close())
}

func TestABackupThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	for n := int64(0); ; n++ {
		var left, begun int64 = n, 0
		var mu sync.Mutex
		files := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if begun == 0 || op.Kind.ReadOrWrite() != errorfs.OpIsWrite || filepath.Dir(op.Path) != "backups/one.partial" {
				return nil
			}
			left--
			if left < 0 && begun == 1 {
				begun = 2 // the cleaning up succeeds
				return errInjected
			}
			return nil
		}))
		s, err := open(files, "store", Options{}, defaultLimits())
		require.NoError(t, err)
		_, err = s.Enqueue(t.Context(), []queue.NewJob{{Type: "a"}})
		require.NoError(t, err)
		mu.Lock()
		begun = 1
		mu.Unlock()
		_, err = s.Backup(t.Context(), "backups/one")
		_, statErr := disk.Stat("backups/one")
		_, partialErr := disk.Stat("backups/one" + partialSuffix)
		require.ErrorIs(t, partialErr, os.ErrNotExist)
		if err == nil {
			require.NoError(t, statErr)
			require.Greater(t, n, int64(3))
			require.NoError(t, s.Close())
			return
		}
		require.ErrorIs(t, statErr, os.ErrNotExist)
		_, err = s.Enqueue(t.Context(), []queue.NewJob{{Type: "a"}})
		require.NoError(t, err, "nobody else notices")
		require.NoError(t, s.Close())
	}
}

func TestBackupsAreMadeOneAtATime(t *testing.T) {
	t.Parallel()
	s, err := OpenMemory(Options{})
	require.NoError(t, err)
	s.backing.Lock()
	_, err = s.Backup(t.Context(), "backup")
	require.ErrorIs(t, err, queue.ErrBackupUnderWay)
	s.backing.Unlock()
	require.NoError(t, s.fs.MkdirAll("backup.partial", 0o700)) // a crash has left it
	_, err = s.Backup(t.Context(), "backup")
	require.NoError(t, err)
	require.NoError(t, s.Close())
	_, err = s.Backup(t.Context(), "another")
	require.ErrorIs(t, err, queue.ErrUnavailable)
}

// Where files cannot be linked a backup may take an hour.
func TestABackupThatIsBeingMadeEndsWhenTheStoreIsClosed(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	copying, goOn := make(chan struct{}), make(chan struct{})
	begun := sync.OnceFunc(func() { close(copying) })
	const store = "store" + partialSuffix // somebody's choice, which is no reason to take it for a backup
	s, err := open(errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileWrite && filepath.Dir(op.Path) == "backups/one.partial" {
			begun()
			<-goOn
		}
		return nil
	})), store, Options{}, smallLimits())
	require.NoError(t, err)
	_, err = s.Enqueue(t.Context(), []queue.NewJob{{Type: "a"}})
	require.NoError(t, err)
	made, closed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := s.Backup(t.Context(), "backups/one")
		made <- err
	}()
	<-copying
	go func() { closed <- s.Close() }()
	<-s.closing
	close(goOn)
	require.ErrorIs(t, <-made, queue.ErrUnavailable)
	require.NoError(t, <-closed)
	for _, name := range []string{"backups/one", "backups/one" + partialSuffix} {
		_, err = disk.Stat(name)
		require.ErrorIs(t, err, os.ErrNotExist)
	}
	s, err = open(disk, store, Options{}, smallLimits()) // which notices nothing of it
	require.NoError(t, err)
	s.audit(t)
	require.NoError(t, s.Close())
}

func TestTheLeasesOfABackupEndInFewChanges(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	s, err := open(disk, "store", Options{}, defaultLimits())
	require.NoError(t, err)
	const leases = 600
	_, err = s.Enqueue(t.Context(), slices.Repeat([]queue.NewJob{{Type: "work"}}, leases))
	require.NoError(t, err)
	held, err := s.DequeueBatch(t.Context(), queue.BatchRequest{DequeueRequest: queue.DequeueRequest{Types: []string{"work"}}, Max: leases})
	require.NoError(t, err)
	require.Len(t, held.Leases, leases)
	_, err = s.Backup(t.Context(), "backup")
	require.NoError(t, err)
	require.NoError(t, s.Close())

	s, err = open(disk, "backup", Options{}, defaultLimits())
	require.NoError(t, err)
	require.Less(t, s.syncer.committed.Load(), uint64(10))
	tokens, err := s.Heartbeats(t.Context(), 0)
	require.NoError(t, err)
	require.Empty(t, tokens)
	for i := range held.Leases {
		require.Equal(t, queue.Pending, steps{t, &harness{store: s}}.state(held.Leases[i].JobID))
	}
	s.audit(t)
	require.NoError(t, s.Close())
}
