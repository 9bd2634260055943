package api_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/limit"
	"github.com/longshore-queue/longshore/internal/queue"
)

// roomForOne is an API with room for one body that is longer than short ones are.
func roomForOne(t *testing.T) *edge {
	t.Helper()
	return newEngineEdge(t, api.Options{BodyTimeout: 30 * time.Second, Limits: api.Limits{Bodies: limit.NewRoom(100 << 10), Answers: limit.NewRoom(100 << 10)}})
}

// long is a value that makes a body long.
func long() string { return `"` + strings.Repeat("x", 70<<10) + `"` }

// held is a request whose body has not arrived as a whole.
type held struct {
	rest   *io.PipeWriter
	answer chan answer
}

// hold sends the head of a request, and all of its body but the last byte.
func (e *edge) hold(body string, declared bool) held {
	reader, rest := io.Pipe()
	request := httptest.NewRequestWithContext(e.t.Context(), http.MethodPost, "/v1/jobs", reader)
	request.Header.Set("Content-Type", "application/json")
	if request.ContentLength = -1; declared {
		request.ContentLength = int64(len(body))
	}
	h := held{rest: rest, answer: make(chan answer, 1)}
	go func() {
		recorder := httptest.NewRecorder()
		e.handler.ServeHTTP(recorder, request)
		h.answer <- answer{recorder.Code, recorder.Header(), recorder.Body.String()}
		_ = reader.Close()
	}()
	go func() { _, _ = io.WriteString(rest, body[:len(body)-1]) }()
	synctest.Wait()
	return h
}

// end sends the last byte.
func (h held) end() answer {
	_, _ = io.WriteString(h.rest, "}")
	_ = h.rest.Close()
	return <-h.answer
}

func TestLongBodiesWaitForRoomAndShortOnesDoNot(t *testing.T) {
	t.Parallel()
	for kind, declared := range map[string]bool{"whose length is declared": true, "in chunks": false} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := roomForOne(t)
				body := `{"type":"long","args":` + long() + `}`
				first := e.hold(body, declared)
				second := make(chan answer, 1)
				go func() { second <- e.send("POST", "/v1/jobs", body) }()
				synctest.Wait()
				e.create(`{"type":"short"}`)
				require.Empty(t, second)
				require.Equal(t, http.StatusCreated, first.end().status)
				require.Equal(t, http.StatusCreated, (<-second).status)
				e.create(body)
			})
		})
	}
}

func TestABodyThatThereIsNoRoomForInTimeIsPutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := roomForOne(t)
		body := `{"type":"long","args":` + long() + `}`
		first := e.hold(body, true)
		began := time.Now()
		got := e.send("POST", "/v1/jobs", body)
		e.tooMuch(got, http.StatusServiceUnavailable, "overloaded", "2")
		require.Equal(t, "close", got.header.Get("Connection"))
		require.Equal(t, 30*time.Second, time.Since(began))
		require.Equal(t, http.StatusCreated, first.end().status)
		require.Len(t, e.send("GET", "/v1/jobs", "").json(t)["jobs"], 1)
		e.create(body)
	})
}

func TestRoomIsGivenBackByWhatIsRefusedOrBeginsToWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := roomForOne(t)
		body := `{"type":"long","args":` + long() + `}`
		require.Equal(t, http.StatusBadRequest, e.send("POST", "/v1/jobs", body+"x").status)
		e.create(body)
		lease := e.lease(`{"types":["long"]}`)
		waits := make(chan answer, 1)
		go func() {
			waits <- e.send("POST", "/v1/dequeue", fmt.Sprintf(`{"types":["none"],"wait_seconds":20,"finish":{"token":%q,"result":%s}}`, lease["token"], long()))
		}()
		synctest.Wait()
		began := time.Now()
		e.create(body)
		require.Zero(t, time.Since(began))
		require.Equal(t, http.StatusNoContent, (<-waits).status)
		require.Equal(t, 20*time.Second, time.Since(began))
	})
}

// answersOf is an API with so much room for answers, and that room.
func answersOf(t *testing.T, bytes int64) (*edge, *limit.Room) {
	t.Helper()
	room := limit.NewRoom(bytes)
	return newEngineEdge(t, api.Options{Limits: api.Limits{Answers: room}}), room
}

// takeAll takes all of a room, as answers do that nobody reads.
func takeAll(t *testing.T, room *limit.Room) *limit.Held {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	held, err := room.Take(ctx, 1<<30)
	require.NoError(t, err, "there is room that nobody has given back")
	return held
}

func TestManyLeasesAndListsWaitForRoomAndOneLeaseDoesNot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, room := answersOf(t, 100<<10)
		for range 3 {
			e.create(`{"type":"t"}`)
		}
		held := takeAll(t, room)
		leases, list := make(chan answer, 1), make(chan answer, 1)
		go func() { leases <- e.send("POST", "/v1/dequeue/batch", `{"types":["t"],"max":2}`) }()
		go func() { list <- e.send("GET", "/v1/jobs", "") }()
		synctest.Wait()
		e.lease(`{"types":["t"]}`)
		require.Empty(t, leases)
		require.Empty(t, list)
		held.GiveBack()
		require.Len(t, (<-leases).json(t)["leases"], 2)
		require.Len(t, (<-list).json(t)["jobs"], 3)
		takeAll(t, room)
	})
}

func TestReportsAreTakenWhereThereIsNoRoomForMoreLeases(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, room := answersOf(t, 100<<10)
		id := e.create(`{"type":"t"}`)["id"]
		lease := e.lease(`{"types":["t"]}`)
		e.create(`{"type":"t"}`)
		held := takeAll(t, room)
		began := time.Now()
		got := e.send("POST", "/v1/dequeue/batch", fmt.Sprintf(`{"types":["t"],"max":2,"wait_seconds":20,"finish":[{"token":%q,"result":1}]}`, lease["token"])).json(t)
		require.Equal(t, 2*time.Second, time.Since(began))
		require.Empty(t, got["leases"])
		require.Equal(t, "finished", got["finished"].([]any)[0].(map[string]any)["state"])
		require.Equal(t, "finished", e.job(id)["state"])
		e.tooMuch(e.send("POST", "/v1/dequeue/batch", `{"types":["t"],"max":2}`), http.StatusServiceUnavailable, "overloaded", "2")
		e.tooMuch(e.send("GET", "/v1/jobs", ""), http.StatusServiceUnavailable, "overloaded", "2")
		held.GiveBack()
		require.Len(t, e.send("POST", "/v1/dequeue/batch", `{"types":["t"],"max":2}`).json(t)["leases"], 1)
		takeAll(t, room)
	})
}

func TestWhoWaitsForManyJobsHoldsNoRoomAndWaitsNoLonger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, room := answersOf(t, 100<<10)
		e.create(`{"type":"t"}`)
		lease := e.lease(`{"types":["t"]}`)
		held := takeAll(t, room)
		got := make(chan answer, 1)
		began := time.Now()
		go func() {
			got <- e.send("POST", "/v1/dequeue/batch", fmt.Sprintf(`{"types":["long"],"max":2,"wait_seconds":20,"finish":[{"token":%q,"result":1}]}`, lease["token"]))
		}()
		time.Sleep(time.Second)
		held.GiveBack()
		synctest.Wait()
		takeAll(t, room).GiveBack()
		nothing := (<-got).json(t)
		require.Len(t, nothing["finished"], 1)
		require.Empty(t, nothing["leases"])
		require.Equal(t, 20*time.Second, time.Since(began))
		go func() { got <- e.send("POST", "/v1/dequeue/batch", `{"types":["long"],"max":2,"wait_seconds":20}`) }()
		synctest.Wait()
		e.create(`{"type":"long","args":` + long() + `}`)
		require.Len(t, (<-got).json(t)["leases"], 1)
		takeAll(t, room)
	})
}

func TestWhoIsInLineForRoomWhenTheServerStopsIsLeasedNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stopping, stop := context.WithCancel(t.Context())
		room := limit.NewRoom(100 << 10)
		e := newEngineEdge(t, api.Options{Stopping: stopping, Limits: api.Limits{Answers: room}})
		id := e.create(`{"type":"t"}`)["id"]
		lease := e.lease(`{"types":["t"]}`)
		e.create(`{"type":"t"}`)
		takeAll(t, room)
		got, nothing := make(chan answer, 1), make(chan answer, 1)
		began := time.Now()
		go func() { nothing <- e.send("POST", "/v1/dequeue/batch", `{"types":["t"],"max":2}`) }()
		go func() {
			got <- e.send("POST", "/v1/dequeue/batch", fmt.Sprintf(`{"types":["t"],"max":2,"finish":[{"token":%q,"result":1}]}`, lease["token"]))
		}()
		synctest.Wait()
		stop()
		report := (<-got).json(t)
		require.Len(t, report["finished"], 1)
		require.Empty(t, report["leases"])
		answer := <-nothing
		require.Equal(t, http.StatusOK, answer.status, "it is answered as every call that waits is then: %s", answer.body)
		require.Empty(t, answer.json(t)["leases"])
		require.Zero(t, time.Since(began))
		require.Equal(t, "finished", e.job(id)["state"])
	})
}

func TestAPanicGivesRoomBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		room := limit.NewRoom(100 << 10)
		q := &stub{list: func(context.Context, queue.Listing) (queue.Page, error) { panic("at the worst moment") }}
		e := newEdge(t, q, api.Options{Limits: api.Limits{Answers: room}})
		require.Equal(t, http.StatusInternalServerError, e.send("GET", "/v1/jobs", "").status)
		takeAll(t, room)
	})
}
