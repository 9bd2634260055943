package process

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDirectoriesInMemoryAreTold(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/shm"); err != nil {
		t.Skip("there is no memory that is a directory")
	}
	memory, err := InMemory("/dev/shm")
	require.NoError(t, err)
	require.True(t, memory)
	memory, err = InMemory("/proc")
	require.NoError(t, err)
	require.False(t, memory)
	_, err = InMemory("/proc/nothing")
	require.Error(t, err)
}
