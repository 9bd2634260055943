package api_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/limit"
	"github.com/longshore-queue/longshore/internal/queue"
)

// observed is what an Observer was told.
type observed struct {
	mu           sync.Mutex // guards all below
	began, waits int
	operations   []string
	outcomes     []string
	limited      []string
	statuses     []int
}

// note does something while nobody else is told anything.
func (o *observed) note(something func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	something()
}

func (o *observed) Began()       { o.note(func() { o.began++ }) }
func (o *observed) Waits()       { o.note(func() { o.waits++ }) }
func (o *observed) WaitsNoMore() { o.note(func() { o.waits += 100 }) }

func (o *observed) Authenticated(outcome string) {
	o.note(func() { o.outcomes = append(o.outcomes, outcome) })
}

func (o *observed) Limited(by string) { o.note(func() { o.limited = append(o.limited, by) }) }

func (o *observed) Ended(operation string, status int, _ time.Duration) {
	o.note(func() {
		o.operations = append(o.operations, operation)
		o.statuses = append(o.statuses, status)
	})
}

func TestEveryOperationIsObservedUnderTheNameThatTheContractHas(t *testing.T) {
	t.Parallel()
	for _, op := range contractOperations(t) {
		o := new(observed)
		handler, err := api.New(&stub{}, api.Options{Observer: o})
		require.NoError(t, err)
		target := op.target() + "?no=such" // so that no handler is reached
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(op.method, target, strings.NewReader("{")))
		require.Equal(t, []string{op.id}, o.operations, op.path)
		require.Equal(t, 1, o.began)
	}
}

func TestWhatBecomesOfCredentialsIsObserved(t *testing.T) {
	t.Parallel()
	o := new(observed)
	c := credentials{
		principals: map[string]*auth.Principal{"good": {Name: "key:good", Scopes: auth.Read, Channels: auth.AllChannels()}},
		errs:       map[string]error{"down": auth.ErrCannotTell},
	}
	handler, err := api.New(&stub{}, api.Options{Observer: o, Authenticator: c})
	require.NoError(t, err)
	for _, token := range []string{"good", "", "bad", "down"} {
		handler.ServeHTTP(httptest.NewRecorder(), as(token, "GET", "/v1/jobs?no=such", ""))
	}
	require.Equal(t, []string{"accepted", "missing", "refused", "unknown"}, o.outcomes)
	require.Equal(t, []int{400, 401, 401, 503}, o.statuses)
}

func TestWhatLimitsRefuseIsObserved(t *testing.T) {
	t.Parallel()
	for want, limits := range map[string]api.Limits{
		"rate": {RequestsPerSecond: 0.001}, "waiting": {WaitingEach: 1}, "waiting_in_all": {Waiting: 1}, "quota": {Open: queue.Amount{Jobs: 1}},
		"memory": {Memory: limit.NewMemory(1000, func() uint64 { return 900 }, func() {})},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := new(observed)
				e := newEngineEdge(t, api.Options{Observer: o, Authenticator: twoCallers(), Limits: limits})
				answers := make(chan answer, 2)
				switch want {
				case "rate", "quota", "memory":
					for range 2 {
						answers <- e.do(as("a", "POST", "/v1/jobs", `{"type":"t"}`))
					}
				default:
					for range 2 {
						go func() { answers <- e.do(as("a", "POST", "/v1/dequeue", `{"types":["none"],"wait_seconds":10}`)) }()
						synctest.Wait()
					}
				}
				refused := 0
				for range 2 {
					if got := <-answers; got.status >= 400 {
						refused++
					}
				}
				require.Len(t, o.limited, refused)
				require.NotZero(t, refused)
				require.Equal(t, want, o.limited[0])
			})
		})
	}
}

func TestWhatIsNoOperationIsObservedWithoutAName(t *testing.T) {
	t.Parallel()
	o := new(observed)
	handler, err := api.New(&stub{}, api.Options{Observer: o})
	require.NoError(t, err)
	for _, target := range []string{"/v1/no/such", "/v1/%6aobs", "/"} {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, http.NoBody))
	}
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("PUT", "/v1/jobs", http.NoBody))
	require.Equal(t, []string{"", "", "", ""}, o.operations)
	require.Equal(t, []int{404, 404, 404, 405}, o.statuses)
}

func TestRequestsThatWaitAreObserved(t *testing.T) {
	t.Parallel()
	o := new(observed)
	q := &stub{dequeue: func(context.Context, queue.DequeueRequest) (queue.Lease, error) {
		require.Equal(t, 1, o.waits)
		return queue.Lease{}, queue.ErrDequeueTimeout
	}}
	handler, err := api.New(q, api.Options{Observer: o})
	require.NoError(t, err)
	r := httptest.NewRequest("POST", "/v1/dequeue", strings.NewReader(`{"types":["t"],"wait_seconds":1}`))
	r.Header.Set("Content-Type", "application/json")
	handler.ServeHTTP(httptest.NewRecorder(), r)
	require.Equal(t, 101, o.waits)
	require.Equal(t, []int{204}, o.statuses)
}
