package processors_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/processors"
)

// It is not parallel, and there is no other test beside it: what it changes is of the whole process.
func TestOneThreadMoreUnlessSomebodyHasSaidHowMany(t *testing.T) { //nolint:paralleltest // see above
	before := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	runtime.SetDefaultGOMAXPROCS()
	usual := runtime.GOMAXPROCS(0)

	processors.OneMore()
	require.Equal(t, usual+1, runtime.GOMAXPROCS(0))
	processors.OneMore()
	require.Equal(t, usual+1, runtime.GOMAXPROCS(0), "it is not added to again")

	runtime.GOMAXPROCS(usual + 6)
	processors.OneMore()
	require.Equal(t, usual+6, runtime.GOMAXPROCS(0), "somebody has said so")
}
