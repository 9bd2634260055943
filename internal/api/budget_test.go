//go:build !race

package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// How many allocations the edge may make for a request, the engine's not counted. Whoever needs
// more raises the number here, and says in the commit what for. The race detector makes
// allocations of its own, so these tests are not there with it.

const allocationRuns = 200

//nolint:paralleltest // allocations of other tests would be counted
func TestCreateJobAllocationBudget(t *testing.T) {
	status := enqueued(queue.Status{ID: uuid.New(), Type: "resize", Channel: "default", State: queue.Pending, Queued: time.Now()})
	q := &stub{enqueue: func(context.Context, []queue.NewJob) ([]queue.Enqueued, error) { return status, nil }}
	body := `{"type":"resize","args":{"path":"` + strings.Repeat("x", 180) + `"}}`
	send := repeatable(t, q, logrus.WarnLevel, "/v1/jobs", body, http.Header{}, nil)
	require.LessOrEqual(t, testing.AllocsPerRun(allocationRuns, send), 25.0)
}

//nolint:paralleltest // allocations of other tests would be counted
func TestDequeueBatchAllocationBudget(t *testing.T) {
	const count = 100
	leases, outcomes, reports := make([]queue.Lease, count), make([]queue.Reported, count), make([]string, count)
	for i := range count {
		leases[i] = testLease()
		leases[i].Args = json.RawMessage(`"` + strings.Repeat("x", 198) + `"`)
		outcomes[i].State = queue.Finished
		reports[i] = `{"token":"` + uuid.NewString() + `","result":{"ok":true}}`
	}
	answer := queue.BatchAnswer{Leases: leases, Reported: outcomes}
	q := &stub{batch: func(context.Context, queue.BatchRequest) (queue.BatchAnswer, error) { return answer, nil }}
	body := `{"types":["resize"],"max":100,"finish":[` + strings.Join(reports, ",") + `]}`
	send := repeatable(t, q, logrus.WarnLevel, "/v1/dequeue/batch", body, http.Header{}, nil)
	require.LessOrEqual(t, testing.AllocsPerRun(allocationRuns, send)/count, 2.6, "for each lease and report")
}
