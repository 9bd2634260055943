package reaper

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// GUARANTEES, fault 11: a server that was stopped takes back no lease at once.
func TestALookAfterAPauseIsLeftOut(t *testing.T) {
	t.Parallel()
	for since, want := range map[time.Duration]bool{
		30 * time.Second:          false,
		44 * time.Second:          false,
		46 * time.Second:          true,
		90 * time.Second:          true,
		24 * 365 * 10 * time.Hour: true,
	} {
		require.Equal(t, want, paused(since, 30*time.Second), "%s", since)
	}
}
