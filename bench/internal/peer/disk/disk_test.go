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
	path := filepath.Join(t.TempDir(), "file")
	d, err := disk.Open(path)
	require.NoError(t, err)
	s, err := d.Session(t.Context(), peer.Lane, 0)
	require.NoError(t, err)
	size := int64(0)
	for _, step := range []struct {
		name string
		do   func() error
		want int64
	}{
		{"add", func() error { return s.Add(3) }, 3 * (200 + 48)},
		{"fetch", func() error { return s.Fetch(3) }, 3 * 48},
		{"acknowledge", s.Acknowledge, 3 * 48},
	} {
		require.NoError(t, step.do(), step.name)
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, step.want, info.Size()-size, step.name)
		size = info.Size()
	}
	s.Close()
	require.NoError(t, d.Close())
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
