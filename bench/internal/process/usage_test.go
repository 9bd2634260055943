package process

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProcessorOf(t *testing.T) {
	t.Parallel()
	got, err := processorOf([]byte("42 (a ) name) S 1 42 42 0 -1 4194560 10 0 0 0 250 50 0 0 20 0 9 0 1000 1 2"))
	require.NoError(t, err)
	require.Equal(t, 3*time.Second, got)
	_, err = processorOf([]byte("42 (x) S"))
	require.Error(t, err)
}
