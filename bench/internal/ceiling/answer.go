package ceiling

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

// answer is an answer to POST /v1/jobs that was made before anybody asked.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// record returns the answer that the product's own code gives to a job like those of the load.
func record() (*answer, error) {
	product, err := api.New(nothing{}, api.Options{})
	if err != nil {
		return nil, err
	}
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/v1/jobs", strings.NewReader(jobs.New("recorded").Body()))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	product.ServeHTTP(w, r)
	if w.Code != http.StatusCreated {
		return nil, fmt.Errorf("the product answered %d: %s", w.Code, w.Body)
	}
	header := w.Header().Clone()
	header.Del("X-Request-Id") // each answer has its own
	return &answer{status: w.Code, header: header, body: w.Body.Bytes()}, nil
}

// VisitCreateJobResponse writes the answer.
func (a *answer) VisitCreateJobResponse(w http.ResponseWriter) error {
	header := w.Header()
	for name, values := range a.header {
		header[name] = values
	}
	w.WriteHeader(a.status)
	_, err := w.Write(a.body)
	return err
}

// nothing is a queue that does nothing. Only Enqueue and Ready may be called.
type nothing struct{ api.Queue }

// Enqueue answers as if it had added the jobs.
func (nothing) Enqueue(_ context.Context, added []queue.NewJob) ([]queue.Enqueued, error) {
	answer := make([]queue.Enqueued, len(added))
	for i := range answer {
		answer[i].Status = queue.Status{
			ID:      uuid.UUID{0x01, 0x93, 0x3a, 0x6e, 0x7b, 0x3a, 0x7c, 0x3e, 0x9d, 0x2f, 0x2f, 0x6f, 0x4c, 0x1a, 0x0b, 0x03},
			Type:    added[i].Type,
			Channel: queue.DefaultChannel,
			State:   queue.Pending,
			Queued:  time.Date(2026, 11, 17, 9, 30, 0, 123456000, time.UTC),
			Version: 1,
		}
	}
	return answer, nil
}

// Ready says that it is.
func (nothing) Ready(context.Context) error { return nil }
