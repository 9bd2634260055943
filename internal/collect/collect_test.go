package collect

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLittleMemoryIsCollectedSeldomAndMuchAsUsual(t *testing.T) {
	t.Parallel()
	for live, percent := range map[uint64]int{
		0: 6400, 1 << 20: 6400, 8 << 20: 800, 64 << 20: 100, 65 << 20: 100, 1 << 40: 100,
	} {
		require.Equal(t, percent, percentFor(live), "%d bytes in use", live)
	}
}
