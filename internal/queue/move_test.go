package queue

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAJobWaitsForItsFirstLeaseSinceItCouldHaveHadIt(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := Record{Attempt: 1, Queued: now.Add(-time.Minute), Started: now}
	require.Equal(t, time.Minute, r.Waited())
	r.RunAt = now.Add(-time.Second)
	require.Equal(t, time.Second, r.Waited())
	r.RunAt = now.Add(time.Second)
	require.Zero(t, r.Waited(), "by another clock")
	r.Attempt = 2
	require.Negative(t, r.Waited())
}
