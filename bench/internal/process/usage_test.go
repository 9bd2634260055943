package process

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseStatistics(t *testing.T) {
	t.Parallel()
	got, err := parseStatistics([]byte("42 (a ) name) S 7 42 42 0 -1 4194560 10 0 0 0 250 50 20 10 20 0 9 0 1000 1 2"))
	require.NoError(t, err)
	require.Equal(t, statistics{parent: 7, own: 3 * time.Second, ended: 300 * time.Millisecond}, got)
	_, err = parseStatistics([]byte("42 (x) S"))
	require.Error(t, err)
}
