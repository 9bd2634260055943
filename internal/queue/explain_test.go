package queue_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Where many depend on a job, they are told in steps that it is over.
func TestABlockedJobThatIsAboutToBeToldIsNotSaidToWaitForNone(t *testing.T) {
	t.Parallel()
	e := queue.Explanation{Status: queue.Status{State: queue.Blocked}}
	require.Equal(t, "What it depends on is over, and it is about to be told.", e.Sentence())
	e.OpenAll = 2
	require.Equal(t, "It waits for 2 jobs that it depends on to be over.", e.Sentence())
}
