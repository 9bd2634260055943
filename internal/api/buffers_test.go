package api

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// One large body does not leave its buffer behind for as long as the server is busy.
func TestLargeBuffersAreNotKept(t *testing.T) {
	t.Parallel()
	b, err := newBodies(1<<20, time.Minute)
	require.NoError(t, err)
	for range 100 { // a pool does not keep everything
		rd := b.readers.Get().(*reader)
		require.LessOrEqual(t, rd.buffer.Cap(), keepBuffer)
		rd.buffer.Grow(keepBuffer + 1)
		b.put(rd)
	}
}
