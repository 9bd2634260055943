package embedded

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// A copy to another engine and back is tested beside that engine.

// filledDirectory makes a store with everything in it, and closes it.
func filledDirectory(t *testing.T) string {
	t.Helper()
	directory := filepath.Join(t.TempDir(), "store")
	s, err := Open(directory, Options{})
	require.NoError(t, err)
	fillWithEverything(t, s)
	require.NoError(t, s.Close())
	return directory
}

func TestAStoreThatAServerUsesIsNeitherCopiedNorFilled(t *testing.T) {
	t.Parallel()
	directory := filepath.Join(t.TempDir(), "store")
	s, err := Open(directory, Options{})
	require.NoError(t, err)
	_, err = OpenCopySource(directory)
	require.ErrorIs(t, err, ErrInUse)
	_, err = CreateCopyTarget(directory)
	require.ErrorIs(t, err, ErrInUse)
	require.NoError(t, s.Close())

	from, err := OpenCopySource(directory)
	require.NoError(t, err)
	_, err = Open(directory, Options{})
	require.ErrorIs(t, err, ErrInUse)
	require.NoError(t, from.Close())
	_, err = OpenCopySource(directory + "-which-is-not-there")
	require.ErrorContains(t, err, "there is no store")
}

func TestACopyFillsAnEmptyDirectoryOnly(t *testing.T) {
	t.Parallel()
	directory := filledDirectory(t)
	_, err := CreateCopyTarget(directory)
	require.ErrorIs(t, err, queue.ErrNotEmpty)
	other := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(other, "file"), nil, 0o600))
	_, err = CreateCopyTarget(other)
	require.ErrorIs(t, err, queue.ErrNotEmpty)

	// Nor does it take away what others have beside the store.
	beside := filepath.Join(t.TempDir(), "store")
	require.NoError(t, os.Mkdir(beside+partialSuffix, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(beside+partialSuffix, "file"), nil, 0o600))
	_, err = CreateCopyTarget(beside)
	require.ErrorContains(t, err, "has something else in it")
	require.FileExists(t, filepath.Join(beside+partialSuffix, "file"))

	empty := t.TempDir()
	requireCopied(t, directory, empty+"/")
	a, err := AuditDirectory(t.Context(), empty)
	require.NoError(t, err)
	require.Empty(t, a.Differences)
	require.NoDirExists(t, empty+partialSuffix)
}

func requireCopied(t *testing.T, from, to string) {
	t.Helper()
	source, err := OpenCopySource(from)
	require.NoError(t, err)
	target, err := CreateCopyTarget(to)
	require.NoError(t, err)
	copied, err := queue.Copy(t.Context(), source, target, time.Now())
	require.NoError(t, err, "%v", copied.Target.Differences)
	require.NoError(t, target.Close())
	require.NoError(t, source.Close())
}

// Who starts a server on the target meanwhile keeps it, and the copy is gone.
func TestACopyDoesNotReplaceAStoreThatHasComeMeanwhile(t *testing.T) {
	t.Parallel()
	directory := filledDirectory(t)
	to := filepath.Join(t.TempDir(), "store")
	source, err := OpenCopySource(directory)
	require.NoError(t, err)
	target, err := CreateCopyTarget(to)
	require.NoError(t, err)
	_, err = CreateCopyTarget(to)
	require.ErrorIs(t, err, ErrInUse, "another copy")
	s, err := Open(to, Options{})
	require.NoError(t, err)
	_, err = queue.Copy(t.Context(), source, target, time.Now())
	require.ErrorContains(t, err, "make room for the store")
	require.NoError(t, target.Close())
	require.NoError(t, source.Close())
	require.NoDirExists(t, to+partialSuffix)
	_, err = s.Enqueue(t.Context(), []queue.NewJob{{Type: "a"}})
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

// What a copy leaves that is cut short cannot be served, and is no hindrance to the next one.
func TestACopyThatIsKilledIsNoStore(t *testing.T) {
	t.Parallel()
	directory := filledDirectory(t)
	source, err := OpenCopySource(directory)
	require.NoError(t, err)
	defer func() { require.NoError(t, source.Close()) }()
	files := vfs.NewCrashableMem()
	target, err := createCopyTarget(files, "store")
	require.NoError(t, err)
	var after vfs.FS
	_, err = queue.Copy(t.Context(), source, crashing{target, func() {
		after = files.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 2))})
	}}, time.Now())
	require.NoError(t, err)
	require.NoError(t, target.Close())

	_, err = open(after, "store"+partialSuffix, Options{}, defaultLimits())
	require.ErrorContains(t, err, "a part of a copy that was not finished")
	_, err = auditDirectory(t.Context(), after, "store"+partialSuffix)
	require.ErrorContains(t, err, "a part of a copy that was not finished")
	again, err := createCopyTarget(after, "store")
	require.NoError(t, err)
	copied, err := queue.Copy(t.Context(), source, again, time.Now())
	require.NoError(t, err, "%v", copied.Target.Differences)
	require.NoError(t, again.Close())
	s, err := open(after, "store", Options{}, smallLimits())
	require.NoError(t, err)
	require.Empty(t, differencesOf(t, s))
	require.NoError(t, s.Close())
}

// crashing is a target that is complete when the machine stops, but was not kept.
type crashing struct {
	*CopyTarget
	crash func()
}

// Keep implements queue.CopyTarget.
func (c crashing) Keep(ctx context.Context) error {
	c.crash()
	return c.CopyTarget.Keep(ctx)
}

func TestAStoreWithSomethingUndoneIsNotCopied(t *testing.T) {
	t.Parallel()
	directory := filledDirectory(t)
	s, err := Open(directory, Options{})
	require.NoError(t, err)
	id := uuid.New()
	require.NoError(t, s.db.Set(settlementKey(nil, id, 0), make([]byte, 8), pebble.Sync))
	require.NoError(t, s.Close())
	_, err = OpenCopySource(directory)
	require.ErrorContains(t, err, "start a server on it and stop it again")
}

func TestAStoreThatIsNotSoundIsNotCopied(t *testing.T) {
	t.Parallel()
	directory := filledDirectory(t)
	s, err := Open(directory, Options{})
	require.NoError(t, err)
	id := uuid.New()
	require.NoError(t, s.db.Set(idKey(nil, prefixDead, id), nil, pebble.Sync))
	require.NoError(t, s.Close())
	source, err := OpenCopySource(directory)
	require.NoError(t, err)
	to := filepath.Join(t.TempDir(), "store")
	target, err := CreateCopyTarget(to)
	require.NoError(t, err)
	copied, err := queue.Copy(t.Context(), source, target, time.Now())
	require.ErrorContains(t, err, "the source is not sound")
	require.False(t, copied.Source.Sound())
	require.NoError(t, target.Close())
	require.NoError(t, source.Close())
	require.NoDirExists(t, to)
	require.NoDirExists(t, to+partialSuffix)
}
