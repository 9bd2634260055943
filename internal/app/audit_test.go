package app

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

func TestAnAuditTellsWhatDiffers(t *testing.T) {
	t.Parallel()
	a := queue.Audit{Jobs: 3, Differences: []string{"one", "two"}, More: 5}
	a.Counts[queue.Failed] = 3
	require.Equal(t, "one\ntwo\n7 differences: 3 jobs, 3 failed\n", describeAudit(&a))
}
