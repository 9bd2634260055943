package process

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProcessorTimesAreExact(t *testing.T) {
	t.Parallel()
	s := started(t, "sh", "-c", "while :; do :; done")
	for {
		before, err := s.Processor()
		require.NoError(t, err)
		after, err := s.Processor()
		require.NoError(t, err)
		if spent := after - before; spent > 0 && spent < tick {
			break // less than what /proc can tell
		}
	}
}

func TestClockAgreesWithWhatProcTells(t *testing.T) {
	t.Parallel()
	pid := os.Getpid()
	told, err := proc(pid, "stat")
	require.NoError(t, err)
	coarse, err := parseStatistics(told)
	require.NoError(t, err)
	exact, err := clock(pid)
	require.NoError(t, err)
	require.GreaterOrEqual(t, exact, coarse.own)
	require.Less(t, exact-coarse.own, time.Second)
	_, err = clock(1 << 22) // more than any process has
	require.Error(t, err)
}
