package river_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/bench/internal/peer"
	"github.com/longshore-queue/longshore/bench/internal/peer/river"
	"github.com/longshore-queue/longshore/bench/internal/postgres"
)

func TestRiver(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it wants a PostgreSQL")
	}
	above := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(above), 0o711))
	c, err := postgres.Start(t.Context(), filepath.Join(above, "pg"), postgres.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	require.NoError(t, c.Create(t.Context(), "river"))
	var complaints bytes.Buffer
	p, err := river.Open(t.Context(), c.URL("river"), &complaints)
	require.NoError(t, err)

	// Cycle compares with the database itself.
	for _, batch := range []int{1, 10} {
		r, err := p.Cycle(t.Context(), peer.Cycles{Callers: 4, Batch: batch, WarmUp: 10 * time.Millisecond, Duration: time.Second})
		require.NoError(t, err)
		require.Positive(t, r.Rate())
	}
	for _, busy := range []int{0, 2} {
		wakes, err := p.Wake(t.Context(), peer.Wakes{Busy: busy, Duration: 50 * time.Millisecond})
		require.NoError(t, err)
		require.NotEmpty(t, wakes)
		for _, wake := range wakes {
			require.Positive(t, wake)
		}
	}
	require.NoError(t, p.Close())
	require.Empty(t, complaints.String())
}
