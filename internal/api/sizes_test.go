package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

// sized is a JSON string of that many bytes.
func sized(size int) string { return `"` + strings.Repeat("x", size-2) + `"` }

// Opaque values may be as long as their limits, as they are written, and no longer: the field
// and the limit are named then, and nothing is changed.
func TestSizesOfValues(t *testing.T) {
	t.Parallel()
	const args, result = 1000, 5000
	id, lease := uuid.NewString(), "/v1/leases/"+uuid.NewString()
	for _, c := range []struct {
		name, path, before, after, field string
		limit                            int
	}{
		{"args", "/v1/jobs", `{"type":"t","args":`, `}`, "args", args},
		{"args of a batch", "/v1/jobs/batch", `{"jobs":[{"type":"t"},{"type":"t","args":`, `}]}`, "jobs[1].args", args},
		{"result", lease + "/finish", `{"result":`, `}`, "result", result},
		{"details", lease + "/fail", `{"error":{"reason":"x","details":`, `}}`, "error.details", result},
		{"result of a report", "/v1/dequeue", `{"types":["t"],"finish":{"token":"` + id + `","result":`, `}}`, "finish.result", result},
		{"details of a report", "/v1/dequeue", `{"types":["t"],"finish":{"token":"` + id + `","error":{"reason":"x","details":`, `}}}`, "finish.error.details", result},
		{"partial result", lease + "/heartbeat", `{"partial_result":`, `}`, "partial_result", result},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			accepted := 0
			status := queue.Status{ID: uuid.MustParse(id), Type: "t", Channel: "c", State: queue.Pending}
			q := &stub{
				enqueue: func(_ context.Context, jobs []queue.NewJob) ([]queue.Enqueued, error) {
					accepted++
					return enqueued(status, status)[:len(jobs)], nil
				},
				batch: func(context.Context, queue.BatchRequest) (queue.BatchAnswer, error) {
					accepted++
					return queue.BatchAnswer{Reported: []queue.Reported{{State: queue.Finished}}}, nil
				},
				report: func(context.Context, uuid.UUID, uint64, queue.Outcome) (queue.State, error) {
					accepted++
					return queue.Finished, nil
				},
				fail: func(context.Context, uuid.UUID, queue.Failure) (queue.State, error) {
					accepted++
					return queue.Failed, nil
				},
				refresh: func(context.Context, uuid.UUID, queue.Beat) (queue.BeatAnswer, error) {
					accepted++
					return queue.BeatAnswer{}, nil
				},
			}
			e := newEdge(t, q, api.Options{MaxArgsBytes: args, MaxResultBytes: result, MaxBodyBytes: 2000})
			for _, value := range []string{sized(c.limit), `{"a":` + strings.Repeat(" ", c.limit-7) + `1}`, `"` + strings.Repeat("ä", c.limit/2-1) + `"`} {
				require.Len(t, value, c.limit)
				got := e.send("POST", c.path, c.before+value+c.after)
				require.Less(t, got.status, 300, got.body)
			}
			require.Equal(t, 3, accepted)
			got := e.send("POST", c.path, c.before+sized(c.limit+1)+c.after)
			e.problem(got, http.StatusRequestEntityTooLarge, "value-too-large", c.field)
			require.Contains(t, got.json(t)["detail"], itoa(c.limit))
			require.Contains(t, got.json(t)["detail"], itoa(c.limit+1))
			require.Equal(t, 3, accepted)
			require.Empty(t, got.header.Get("Connection"), "the body was read")
		})
	}
}

func itoa(i int) string { b, _ := json.Marshal(i); return string(b) } //nolint:errchkjson // an int

// A body may be as long as what it is for needs, and no longer.
func TestSizesOfBodies(t *testing.T) {
	t.Parallel()
	id, lease := "/v1/jobs/"+uuid.NewString(), "/v1/leases/"+uuid.NewString()
	const body, result, around, more, batch = 10_000, 20_000, 4 << 10, 64 << 10, 50_000
	for _, c := range []struct {
		method, path string
		options      api.Options
		limit        int
	}{
		{"POST", "/v1/jobs", api.Options{MaxBodyBytes: body, MaxResultBytes: result, MaxBatchBytes: batch}, body},
		{"POST", "/v1/jobs/batch", api.Options{MaxBodyBytes: body, MaxResultBytes: result, MaxBatchBytes: batch}, batch},
		{"POST", "/v1/dequeue", api.Options{MaxBodyBytes: body, MaxResultBytes: result, MaxBatchBytes: batch}, result + more},
		{"POST", "/v1/dequeue", api.Options{MaxBodyBytes: 5 * result, MaxResultBytes: result, MaxBatchBytes: batch}, 5 * result},
		{"POST", "/v1/dequeue/batch", api.Options{MaxBodyBytes: body, MaxResultBytes: result, MaxBatchBytes: batch}, batch},
		{"POST", "/v1/leases/heartbeat", api.Options{MaxBodyBytes: body, MaxResultBytes: result, MaxBatchBytes: batch}, batch},
		{"POST", id + "/dequeue", api.Options{MaxBodyBytes: body, MaxResultBytes: result, MaxBatchBytes: batch}, body},
		{"POST", id + "/cancel", api.Options{MaxBodyBytes: body, MaxResultBytes: result, MaxBatchBytes: batch}, body},
		{"POST", id + "/retry", api.Options{MaxBodyBytes: body, MaxResultBytes: result, MaxBatchBytes: batch}, body},
		{"PATCH", id, api.Options{MaxBodyBytes: body, MaxResultBytes: result, MaxBatchBytes: batch}, body},
		{"POST", lease + "/release", api.Options{MaxBodyBytes: body, MaxResultBytes: result, MaxBatchBytes: batch}, body},
		{"POST", lease + "/finish", api.Options{MaxBodyBytes: body, MaxResultBytes: result, MaxBatchBytes: batch}, result + around},
		{"POST", lease + "/fail", api.Options{MaxBodyBytes: body, MaxResultBytes: result, MaxBatchBytes: batch}, result + around},
		{"POST", lease + "/heartbeat", api.Options{MaxBodyBytes: body, MaxResultBytes: result, MaxBatchBytes: batch}, result + around},
		{"POST", lease + "/finish", api.Options{MaxBodyBytes: 4 * result, MaxResultBytes: result}, 4 * result},
		{"POST", "/v1/jobs", api.Options{}, 1 << 20},
		{"POST", "/v1/jobs/batch", api.Options{}, 32 << 20},
		{"POST", "/v1/dequeue/batch", api.Options{}, 32 << 20},
		{"POST", lease + "/finish", api.Options{}, 1<<20 + around},
	} {
		t.Run(c.method+" "+c.path+" "+itoa(c.limit), func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, &stub{}, c.options)
			// An array is refused, but only once it was read.
			e.problem(e.send(c.method, c.path, `[`+strings.Repeat(" ", c.limit-2)+`]`), 400, "invalid-request", "")
			got := e.send(c.method, c.path, `[`+strings.Repeat(" ", c.limit-1)+`]`)
			e.problem(got, 413, "body-too-large", "")
			require.Contains(t, got.json(t)["detail"], itoa(c.limit))
			require.Equal(t, "close", got.header.Get("Connection"))
		})
	}
}
