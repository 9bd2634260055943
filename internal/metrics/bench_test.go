package metrics

import (
	"testing"
	"time"

	"github.com/longshore-queue/longshore/internal/queue"
)

// BenchmarkRequest is what it costs a request to be counted.
func BenchmarkRequest(b *testing.B) {
	r := newRegistry()
	b.ReportAllocs()
	for b.Loop() {
		r.Requests.Began()
		r.Requests.Ended("createJob", 201, 300*time.Microsecond)
	}
}

// BenchmarkJob is what it costs a job to be counted, from its enqueue to its end.
func BenchmarkJob(b *testing.B) {
	r := newRegistry()
	lane := queue.Lane{Channel: "default", Type: "resize"}
	b.ReportAllocs()
	for b.Loop() {
		r.Jobs.Moved([]queue.Move{{Lane: lane, To: queue.Pending, Took: -1}})
		r.Jobs.Moved([]queue.Move{{Lane: lane, From: queue.Pending, To: queue.Running, Took: time.Millisecond}})
		r.Jobs.Claimed(300 * time.Microsecond)
		r.Jobs.Moved([]queue.Move{{Lane: lane, From: queue.Running, To: queue.Finished, End: queue.EndReported, Took: time.Second}})
	}
}
