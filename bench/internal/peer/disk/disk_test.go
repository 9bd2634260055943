package disk_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/bench/internal/peer"
	"github.com/longshore-queue/longshore/bench/internal/peer/disk"
)

func TestJobsLeasesAndReportsAreAppended(t *testing.T) {
	t.Parallel()
	steps := []func(peer.Session) error{
		func(s peer.Session) error { return s.Add(3) },
		func(s peer.Session) error { return s.Fetch(3) },
		peer.Session.Acknowledge,
	}
	for n, want := range []int64{3 * (200 + 48), 3*(200+48) + 3*48, 3*(200+48) + 2*3*48} {
		path := filepath.Join(t.TempDir(), "file")
		d, err := disk.Open(path)
		require.NoError(t, err)
		s, err := d.Session(t.Context(), peer.Lane, 0)
		require.NoError(t, err)
		for _, do := range steps[:n+1] {
			require.NoError(t, do(s))
		}
		s.Close()
		require.NoError(t, d.Close())
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, want, info.Size(), "after %d steps", n+1)
	}
}

func TestCallersShareTheDisk(t *testing.T) {
	t.Parallel()
	d, err := disk.Open(filepath.Join(t.TempDir(), "file"))
	require.NoError(t, err)
	r, err := peer.Cycle(t.Context(), d.Session, peer.Cycles{Callers: 8, Batch: 2, Duration: 10 * time.Millisecond})
	require.NoError(t, err)
	require.Positive(t, r.Operations)
	wakes, err := peer.Wake(t.Context(), d.Session, peer.Wakes{Busy: 2, Duration: 10 * time.Millisecond})
	require.NoError(t, err)
	require.NotEmpty(t, wakes)
	require.NoError(t, d.Close())
}
