package embedded

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/longshore-queue/longshore/internal/queue/queuetest"
)

// BenchmarkStore measures the engine on disk. Compare one caller with BenchmarkFdatasync.
func BenchmarkStore(b *testing.B) {
	queuetest.Benchmark(b, func(t queuetest.TB) queuetest.Harness {
		return &benchHarness{newHarness(t, vfs.Default, filepath.Join(b.TempDir(), "data"), defaultLimits())}
	})
}

// benchHarness leaves out the audit, which takes longer than what is measured.
type benchHarness struct{ *harness }

func (h *benchHarness) Close(t queuetest.TB) { require.NoError(t, h.store.Close()) }

// BenchmarkFdatasync measures the disk: it appends what one enqueue writes to a file and
// syncs it, as the log does.
func BenchmarkFdatasync(b *testing.B) {
	file, err := os.Create(filepath.Join(b.TempDir(), "log"))
	require.NoError(b, err)
	defer func() { require.NoError(b, file.Close()) }()
	require.NoError(b, unix.Fallocate(int(file.Fd()), 0, 0, 64<<20))
	record := make([]byte, 450)
	b.ResetTimer()
	for i := range b.N {
		_, err := file.WriteAt(record, int64(i*len(record))%(64<<20-450))
		require.NoError(b, err)
		require.NoError(b, unix.Fdatasync(int(file.Fd())))
	}
}
