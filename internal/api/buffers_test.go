package api

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// One large body does not leave its buffer behind for as long as the server is busy.
func TestLargeBuffersAreNotKept(t *testing.T) {
	t.Parallel()
	b, err := newBodies(Options{MaxBodyBytes: 1 << 20, MaxBatchBytes: 1 << 20, MaxResultBytes: 1 << 20, BodyTimeout: time.Minute})
	require.NoError(t, err)
	for range 100 { // a pool does not keep everything
		rd := b.readers.Get().(*reader)
		require.LessOrEqual(t, rd.buffer.Cap(), keepBuffer)
		rd.buffer.Grow(keepBuffer + 1)
		b.put(rd)
	}
}
