package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/auth/apikey"
	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/embedded"
)

// BenchmarkCreateJob is what the edge itself costs a request, without network and engine.
func BenchmarkCreateJob(b *testing.B) {
	body := `{"type":"resize","args":{"path":"` + strings.Repeat("x", 180) + `"}}`
	status := enqueued(queue.Status{ID: uuid.New(), Type: "resize", Channel: "default", State: queue.Pending, Queued: time.Now()})
	q := &stub{
		enqueue: func(context.Context, []queue.NewJob) ([]queue.Enqueued, error) { return status, nil },
		once:    func(context.Context, []queue.NewJob, queue.Once) ([]queue.Enqueued, error) { return status, nil },
	}
	for name, level := range map[string]logrus.Level{"logged": logrus.InfoLevel, "unlogged": logrus.WarnLevel} {
		b.Run(name, func(b *testing.B) { benchmark(b, q, level, "/v1/jobs", body, http.Header{}) })
	}
	b.Run("known", func(b *testing.B) {
		channels := auth.SomeChannels("default")
		benchmarkAs(b, q, logrus.WarnLevel, "/v1/jobs", body, http.Header{"Authorization": {"Bearer k"}}, credentials{
			principals: map[string]*auth.Principal{"k": {Name: "test:k", Scopes: auth.Enqueue, Channels: channels}},
		})
	})
	b.Run("key", func(b *testing.B) {
		authenticator, key := newKey(b)
		benchmarkAs(b, q, logrus.WarnLevel, "/v1/jobs", body, http.Header{"Authorization": {"Bearer " + key}}, authenticator)
	})
	b.Run("once", func(b *testing.B) {
		benchmark(b, q, logrus.WarnLevel, "/v1/jobs", body, http.Header{"Idempotency-Key": {"0b8f6c5b-8a55-4d1f-9c0e-2a8c3b1f7d10"}})
	})
}

// BenchmarkCreateJobs is the same for a batch. The figures are of 1,000 jobs.
func BenchmarkCreateJobs(b *testing.B) {
	const count = 1000
	q := &stub{enqueue: func(_ context.Context, jobs []queue.NewJob) ([]queue.Enqueued, error) {
		added := make([]queue.Enqueued, len(jobs))
		for i := range added {
			added[i].ID, added[i].State = uuid.UUID{byte(i)}, queue.Pending
		}
		return added, nil
	}}
	for name, job := range map[string]func(i int) string{
		"plain": func(int) string { return `{"type":"resize","args":"` + strings.Repeat("x", 198) + `"}` },
		"chain": func(i int) string {
			return fmt.Sprintf(`{"type":"resize","name":"n%d","needs":["n%d"],"args":{"path":%q}}`, i, max(i, 1)-1, strings.Repeat("x", 189))
		},
		"everything": func(i int) string {
			return fmt.Sprintf(`{"type":"resize","channel":"acme","name":"n%d","priority":5,"max_retries":3,"timeout_seconds":60,`+
				`"run_at":"2026-11-17T22:00:00Z","retry":{"max_attempts":3},"labels":{"team":"print"},"args":{"path":%q}}`, i, strings.Repeat("x", 189))
		},
	} {
		b.Run(name, func(b *testing.B) {
			bodies := make([]string, count)
			for i := range bodies {
				bodies[i] = job(i)
			}
			benchmark(b, q, logrus.WarnLevel, "/v1/jobs/batch", `{"jobs":[`+strings.Join(bodies, ",")+`]}`, http.Header{})
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/count, "ns/job")
		})
	}
}

// BenchmarkDequeueBatch is the same for 100 leases and 100 reports. An item is one of both.
func BenchmarkDequeueBatch(b *testing.B) {
	const count = 100
	leases, outcomes := make([]queue.Lease, count), make([]queue.Reported, count)
	reports := make([]string, count)
	for i := range count {
		leases[i] = testLease()
		leases[i].Args = json.RawMessage(`{"path":"` + strings.Repeat("x", 189) + `"}`)
		outcomes[i].State = queue.Finished
		reports[i] = `{"token":"` + uuid.NewString() + `","result":{"ok":true}}`
	}
	answer := queue.BatchAnswer{Leases: leases, Reported: outcomes}
	q := &stub{batch: func(context.Context, queue.BatchRequest) (queue.BatchAnswer, error) { return answer, nil }}
	body := `{"types":["resize"],"max":100,"wait_seconds":30,"worker":"w","finish":[` + strings.Join(reports, ",") + `]}`
	for name, header := range map[string]http.Header{"plain": {}, "once": {"Idempotency-Key": {"0b8f6c5b-8a55-4d1f-9c0e-2a8c3b1f7d10"}}} {
		b.Run(name, func(b *testing.B) {
			benchmark(b, q, logrus.WarnLevel, "/v1/dequeue/batch", body, header)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/count, "ns/item")
		})
	}
}

// BenchmarkHeartbeats is the same for 100 heartbeats that say nothing.
func BenchmarkHeartbeats(b *testing.B) {
	const count = 100
	beats := make([]string, count)
	for i := range count {
		beats[i] = `{"token":"` + uuid.NewString() + `"}`
	}
	q := &stub{refresh: func(context.Context, uuid.UUID, queue.Beat) (queue.BeatAnswer, error) { return queue.BeatAnswer{}, nil }}
	benchmark(b, q, logrus.WarnLevel, "/v1/leases/heartbeat", `{"heartbeats":[`+strings.Join(beats, ",")+`]}`, http.Header{})
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/count, "ns/item")
}

// newKey returns an API key, and what knows it.
func newKey(b *testing.B) (known auth.Authenticator, key string) {
	b.Helper()
	store, err := embedded.OpenMemory(embedded.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	authenticator, secret := apikey.New(store, apikey.Options{}), apikey.Generate()
	prepared, err := apikey.Prepare(secret, queue.NewAPIKey{Name: "bench", Scopes: []string{"enqueue"}, Channels: []string{"default"}})
	if err == nil {
		err = authenticator.Start(b.Context())
	}
	if err == nil {
		b.Cleanup(authenticator.Stop)
		_, err = authenticator.CreateAPIKey(b.Context(), prepared)
	}
	if err != nil {
		b.Fatal(err)
	}
	return authenticator, secret.Text()
}

// benchmark sends one request again and again.
func benchmark(b *testing.B, q api.Queue, level logrus.Level, path, body string, header http.Header) {
	b.Helper()
	benchmarkAs(b, q, level, path, body, header, nil)
}

// benchmarkAs is benchmark where requests are asked who they come from, unless known is nil.
func benchmarkAs(b *testing.B, q api.Queue, level logrus.Level, path, body string, header http.Header, known auth.Authenticator) {
	b.Helper()
	send := repeatable(b, q, level, path, body, header, known)
	b.ReportAllocs()
	for b.Loop() {
		send()
	}
}

// repeatable returns what sends one request, any number of times.
func repeatable(tb testing.TB, q api.Queue, level logrus.Level, path, body string, header http.Header, known auth.Authenticator) (send func()) {
	tb.Helper()
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	logger.SetFormatter(&logrus.JSONFormatter{})
	logger.SetLevel(level)
	handler, err := api.New(q, api.Options{Logger: logger, Authenticator: known})
	if err != nil {
		tb.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, path, http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	r.RemoteAddr = "192.0.2.1:1234"
	r.Header = header
	r.Header.Set("Content-Type", "application/json")
	reader := strings.NewReader(body)
	r.Body, r.ContentLength = io.NopCloser(reader), int64(len(body))
	return func() {
		reader.Reset(body)
		w := &discard{header: http.Header{}}
		handler.ServeHTTP(w, r)
		if w.status >= http.StatusMultipleChoices {
			tb.Fatalf("status %d", w.status)
		}
	}
}

type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header       { return d.header }
func (*discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)    { d.status = status }
