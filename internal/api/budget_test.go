//go:build !race

package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/auth"
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

// A worker that waits has two goroutines of net/http's: one with the call, whose stack is of 8 KiB as long as no
// more than about 7 of them are in use at any moment, and one that looks whether the client is still there. With a
// deeper call thousands of workers need half as much memory again: then make frames smaller that are on
// the stack while a call waits. A traceback tells their sizes with GOTRACEBACK=system, which SIGQUIT prints.
//
//nolint:paralleltest // stacks of other tests would be counted
func TestStackOfACallThatWaits(t *testing.T) {
	const workers, most = 500, 12 << 10
	for name, options := range map[string]api.Options{
		"without credentials": {},
		"with credentials": {Authenticator: credentials{principals: map[string]*auth.Principal{
			"c": {Name: "test:c", Scopes: everything, Channels: auth.SomeChannels(queue.DefaultChannel)},
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			store := newStore(t)
			e := newEdge(t, store, options)
			before := stacks()
			c := newCrowd(t, e.handler, store, workers)
			c.ask(`{"types":["t"]}`) // what an answer takes is part of it
			for i := range c.conns {
				require.Equal(t, answered{worker: i, status: http.StatusNoContent}, c.listen(i))
			}
			c.ask(`{"types":["t"],"wait_seconds":60}`)
			c.awaitAll()
			require.LessOrEqual(t, (stacks()-before)/workers, most, "bytes for each")
		})
	}
}

// stacks is how many bytes the stacks of all goroutines take.
func stacks() int {
	runtime.GC() // takes back those of goroutines that have ended
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.StackInuse) //nolint:gosec // it is less than there is memory
}
