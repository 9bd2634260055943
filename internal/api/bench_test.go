package api_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

// BenchmarkCreateJob is what the edge itself costs a request, without network and engine.
func BenchmarkCreateJob(b *testing.B) {
	body := `{"type":"resize","args":{"path":"` + strings.Repeat("x", 180) + `"}}`
	status := []queue.Status{{ID: uuid.New(), Type: "resize", Channel: "default", State: queue.Pending, Queued: time.Now()}}
	q := &stub{enqueue: func(context.Context, []queue.NewJob) ([]queue.Status, error) { return status, nil }}
	for name, level := range map[string]logrus.Level{"logged": logrus.InfoLevel, "unlogged": logrus.WarnLevel} {
		b.Run(name, func(b *testing.B) {
			logger := logrus.New()
			logger.SetOutput(io.Discard)
			logger.SetFormatter(&logrus.JSONFormatter{})
			logger.SetLevel(level)
			handler, err := api.New(q, api.Options{Logger: logger})
			if err != nil {
				b.Fatal(err)
			}
			r, err := http.NewRequest(http.MethodPost, "/v1/jobs", http.NoBody)
			if err != nil {
				b.Fatal(err)
			}
			r.RemoteAddr = "192.0.2.1:1234"
			r.Header.Set("Content-Type", "application/json")
			reader := strings.NewReader(body)
			r.Body, r.ContentLength = io.NopCloser(reader), int64(len(body))
			b.ReportAllocs()
			for b.Loop() {
				reader.Reset(body)
				handler.ServeHTTP(discard{header: http.Header{}}, r)
			}
		})
	}
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}
