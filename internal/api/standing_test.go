package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/queue"
)

// changing are credentials that are not what they were after a while.
type changing struct{ now *credentials }

func (c changing) Authenticate(r *http.Request) (*auth.Principal, error) {
	return c.now.Authenticate(r)
}

// reader is who the credential of these tests stands for.
func reader(channels auth.Channels) *auth.Principal {
	return &auth.Principal{Name: "test:reader", Scopes: everything, Channels: channels}
}

// whileWaiting calls each operation that waits, and changes what its credential is after a minute of
// waiting, just before there is something to answer. It returns the answers, and which leases were undone.
func whileWaiting(t *testing.T, after credentials) (answers map[string]answer, undone []uuid.UUID) {
	t.Helper()
	all := auth.AllChannels()
	now := credentials{principals: map[string]*auth.Principal{"c": reader(all)}}
	passes := func() {
		time.Sleep(time.Minute)
		now = after
	}
	lease := testLease()
	job := queue.Status{ID: uuid.New(), Type: "secret", State: queue.Finished}
	q := &stub{
		dequeue: func(context.Context, queue.DequeueRequest) (queue.Lease, error) {
			passes()
			return lease, nil
		},
		batch: func(context.Context, queue.BatchRequest) (queue.BatchAnswer, error) {
			passes()
			return queue.BatchAnswer{Leases: []queue.Lease{lease}}, nil
		},
		await: func(context.Context, uuid.UUID) (queue.Status, error) {
			passes()
			return job, nil
		},
		job: func(context.Context, uuid.UUID) (queue.Job, error) { return queue.Job{Type: "secret"}, nil },
		release: func(_ context.Context, token uuid.UUID, _ time.Duration) (queue.State, error) {
			undone = append(undone, token)
			return queue.Pending, nil
		},
		events: func(context.Context, queue.EventFilter, queue.EventPosition, int) (queue.Events, error) {
			passes()
			return queue.Events{Events: []queue.Event{{JobID: job.ID, Lane: queue.Lane{Type: "secret"}}}}, nil
		},
	}
	answers = make(map[string]answer)
	for _, c := range []struct{ method, path, body string }{
		{"POST", "/v1/dequeue", `{"types":["x"],"wait_seconds":60}`},
		{"POST", "/v1/dequeue/batch", `{"types":["x"],"max":1,"wait_seconds":60}`},
		{"GET", heldJob + "?wait_seconds=60", ""},
		{"GET", "/v1/events", ""},
	} {
		now = credentials{principals: map[string]*auth.Principal{"c": reader(all)}}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		e, w := newEdge(t, q, api.Options{Authenticator: changing{&now}, MaxWait: time.Hour}), httptest.NewRecorder()
		e.handler.ServeHTTP(w, as("c", c.method, c.path, c.body).WithContext(ctx)) // a stream is no document of the contract
		answers[strings.Split(c.path, "?")[0]] = answer{status: w.Code, body: w.Body.String()}
		cancel()
	}
	return answers, undone
}

const heldJob = "/v1/jobs/00000000-0000-7000-8000-000000000001"

func TestACredentialThatIsRevokedWhileItsCallWaitsIsAnsweredNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		after  credentials
		status int
	}{
		"revoked":  {credentials{}, http.StatusUnauthorized},
		"cut down": {credentials{principals: map[string]*auth.Principal{"c": reader(auth.SomeChannels("other"))}}, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				answers, undone := whileWaiting(t, c.after)
				for _, path := range []string{"/v1/dequeue", "/v1/dequeue/batch", heldJob} {
					require.Equal(t, c.status, answers[path].status, path)
				}
				require.Len(t, undone, 2, "the leases go back")
				require.Equal(t, http.StatusOK, answers["/v1/events"].status, "it had begun")
				for path, got := range answers {
					require.NotContains(t, got.body, "secret", path)
				}
			})
		})
	}
}

func TestACredentialThatIsStillGoodOrCannotBeCheckedIsAnswered(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]credentials{
		"good":    {principals: map[string]*auth.Principal{"c": reader(auth.AllChannels())}},
		"unknown": {errs: map[string]error{"c": auth.ErrCannotTell}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				answers, undone := whileWaiting(t, after)
				require.Equal(t, http.StatusCreated, answers["/v1/dequeue"].status)
				require.Equal(t, http.StatusOK, answers["/v1/dequeue/batch"].status)
				require.Equal(t, http.StatusOK, answers[heldJob].status, answers[heldJob].body)
				require.Contains(t, answers["/v1/events"].body, "secret")
				require.Empty(t, undone)
			})
		})
	}
}
