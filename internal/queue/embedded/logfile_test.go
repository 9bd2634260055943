package embedded

import (
	"bytes"
	"io"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/stretchr/testify/require"
)

func TestALogFileIsFilledAhead(t *testing.T) {
	t.Parallel()
	const ahead = 16
	var failing atomic.Bool
	disk := vfs.NewMem()
	fs := logFS{ahead: ahead, FS: errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if failing.Load() && op.Kind == errorfs.OpFileWriteAt {
			return errInjected
		}
		return nil
	}))}
	f, err := fs.Create("000001.log", vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	var written []byte
	for i, size := range []int{1, ahead - 1, 1, 5 * ahead, 3, 2 * ahead, 0, 7, ahead + 1} {
		failing.Store(i == 4 || i == 5)
		// Pebble allows a file to change what it is given.
		p := bytes.Repeat([]byte{byte(i + 1)}, size)
		n, err := f.Write(append([]byte(nil), p...))
		require.NoError(t, err, "a file that cannot be filled ahead can still be written")
		require.Equal(t, size, n)
		written = append(written, p...)

		found, err := disk.Open("000001.log")
		require.NoError(t, err)
		content, err := io.ReadAll(found)
		require.NoError(t, err)
		require.NoError(t, found.Close())
		require.Equal(t, written, content[:len(written)])
		require.Equal(t, make([]byte, len(content)-len(written)), content[len(written):])
		require.Less(t, len(content)-len(written), ahead)
	}
	require.NoError(t, f.Close())

	other, err := fs.Create("000002.sst", vfs.WriteCategoryUnspecified)
	require.NoError(t, err)
	_, err = other.Write([]byte{1})
	require.NoError(t, err)
	info, err := other.Stat()
	require.NoError(t, err)
	require.EqualValues(t, 1, info.Size(), "only log files are filled")
	require.NoError(t, other.Close())
}
