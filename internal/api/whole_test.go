package api_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/limit"
	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	// largeParts is how many dependencies a large job has.
	largeParts = 3
	// sizeOfPart is how large each of their results is, in bytes: together too large for a lease.
	sizeOfPart = queue.MaxLeaseResults/largeParts + 1000
)

// createLarge adds a job of type large, with more members, whose dependencies are over, and have made more than comes
// with a lease.
func (e *edge) createLarge(members string) (id any) {
	e.t.Helper()
	parts := make([]string, largeParts)
	for i := range parts {
		parts[i] = fmt.Sprintf("%q", e.create(`{"type":"part"}`)["id"])
		result := fmt.Sprintf(`{"result":%q}`, strings.Repeat("x", sizeOfPart-2))
		require.Equal(e.t, http.StatusOK, e.on(e.lease(`{"types":["part"]}`), "finish", result).status)
	}
	return e.create(`{"type":"large","dependencies":[` + strings.Join(parts, ",") + `]` + members + `}`)["id"]
}

// resultsOf is an API with so much room for the results that leases are granted without, and that room.
func resultsOf(t *testing.T, bytes int64) (*edge, *limit.Room) {
	t.Helper()
	room := limit.NewRoom(bytes)
	return newEngineEdge(t, api.Options{Limits: api.Limits{Results: room}}), room
}

// requireWhole requires that a lease has all results of its dependencies.
func requireWhole(t *testing.T, lease map[string]any) {
	t.Helper()
	dependencies := lease["dependencies"].([]any)
	require.Len(t, dependencies, largeParts)
	for _, d := range dependencies {
		require.Len(t, d.(map[string]any)["result"], sizeOfPart-2)
	}
}

func TestALeaseWithLargeResultsIsReadOnceThereIsRoomForIt(t *testing.T) {
	t.Parallel()
	for how, room := range map[string]*limit.Room{"less room than it takes": limit.NewRoom(100 << 10), "more": limit.NewRoom(100 << 20), "no bound": nil} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := newEngineEdge(t, api.Options{Limits: api.Limits{Results: room}})
				id := e.createLarge("")
				asks := map[string]func() map[string]any{
					"dequeue": func() map[string]any { return e.lease(`{"types":["large"]}`) },
					"by id":   func() map[string]any { return e.send("POST", fmt.Sprintf("/v1/jobs/%s/dequeue", id), "").json(t) },
					"batch": func() map[string]any {
						_, leases := e.exchange(`{"types":["large"],"max":2}`)
						return leases[0]
					},
					"with a report": func() map[string]any {
						e.create(`{"type":"part"}`)
						before := e.lease(`{"types":["part"]}`)
						return e.lease(fmt.Sprintf(`{"types":["large"],"finish":{"token":%q}}`, before["token"]))
					},
				}
				for _, ask := range asks {
					lease := ask()
					requireWhole(t, lease)
					requireWhole(t, e.send("GET", fmt.Sprintf("/v1/leases/%s", lease["token"]), "").json(t))
					require.Equal(t, http.StatusOK, e.on(lease, "release", "").status)
				}
				if room != nil {
					takeAll(t, room)
				}
			})
		})
	}
}

func TestALeaseThatThereIsNoRoomForIsPutOffAndItsJobCanBeLeasedByOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, room := resultsOf(t, 4<<20)
		id := e.createLarge("")
		lease := e.lease(`{"types":["large"]}`)
		held := takeAll(t, room)
		e.tooMuch(e.send("GET", fmt.Sprintf("/v1/leases/%s", lease["token"]), ""), http.StatusServiceUnavailable, "overloaded", "2")
		require.Equal(t, http.StatusOK, e.on(lease, "release", "").status)
		for path, body := range map[string]string{
			"/v1/dequeue": `{"types":["large"],"wait_seconds":20}`, fmt.Sprintf("/v1/jobs/%s/dequeue", id): "",
			"/v1/dequeue/batch": `{"types":["large"],"max":1}`,
		} {
			began := time.Now()
			e.tooMuch(e.send("POST", path, body), http.StatusServiceUnavailable, "overloaded", "2")
			require.Equal(t, 2*time.Second, time.Since(began), path)
			require.Equal(t, "pending", e.job(id)["state"], path)
		}
		held.GiveBack()
		requireWhole(t, e.lease(`{"types":["large"]}`))
		takeAll(t, room)
	})
}

func TestWhatElseIsAskedForIsAnsweredWhereThereIsNoRoomForALargeLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, room := resultsOf(t, 4<<20)
		large := e.createLarge("")
		small := e.create(`{"type":"small"}`)["id"]
		e.create(`{"type":"part"}`)
		before := e.lease(`{"types":["part"]}`)
		held := takeAll(t, room)

		finished, leases := e.exchange(fmt.Sprintf(`{"types":["large","small"],"max":2,"finish":[{"token":%q}]}`, before["token"]))
		require.Equal(t, "finished", finished[0]["state"])
		require.Len(t, leases, 1)
		require.Equal(t, small, leases[0]["id"])
		require.Equal(t, "pending", e.job(large)["state"])
		got := e.send("POST", "/v1/dequeue", fmt.Sprintf(`{"types":["large"],"finish":{"token":%q}}`, leases[0]["token"]))
		require.Equal(t, http.StatusNoContent, got.status, got.body)
		require.Equal(t, "finished", e.job(small)["state"])
		require.Equal(t, "pending", e.job(large)["state"])
		began := time.Now()
		require.Equal(t, http.StatusOK, e.send("GET", "/v1/jobs", "").status)
		require.Zero(t, time.Since(began))
		held.GiveBack()
		takeAll(t, room)
	})
}

// Nobody could keep the lease alive until the call comes again.
func TestALeaseThatThereIsNoRoomForIsGivenBackThoughTheCallCanComeAgain(t *testing.T) {
	t.Parallel()
	for path, body := range map[string]string{"/v1/dequeue": `{"types":["large"]}`, "/v1/dequeue/batch": `{"types":["large"],"max":1}`} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e, room := resultsOf(t, 4<<20)
				id := e.createLarge("")
				held := takeAll(t, room)
				for range 2 {
					e.tooMuch(e.with("POST", path, body, "Idempotency-Key", "k"), http.StatusServiceUnavailable, "overloaded", "2")
					require.Equal(t, "pending", e.job(id)["state"])
				}
				held.GiveBack()
				for range 2 {
					lease := e.with("POST", path, body, "Idempotency-Key", "k").json(t)
					if many, ok := lease["leases"].([]any); ok {
						lease = many[0].(map[string]any)
					}
					requireWhole(t, lease)
					require.InEpsilon(t, 3, lease["attempt"], 0)
				}
			})
		})
	}
}

func TestWhoIsInLineForRoomForALeaseWhenTheServerStopsIsLeasedNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stopping, stop := context.WithCancel(t.Context())
		room := limit.NewRoom(4 << 20)
		e := newEngineEdge(t, api.Options{Stopping: stopping, Limits: api.Limits{Results: room}})
		id := e.createLarge("")
		takeAll(t, room)
		got := make(chan answer, 2)
		began := time.Now()
		go func() { got <- e.send("POST", "/v1/dequeue", `{"types":["large"]}`) }()
		synctest.Wait()
		stop()
		require.Equal(t, http.StatusNoContent, (<-got).status)
		require.Zero(t, time.Since(began))
		require.Equal(t, "pending", e.job(id)["state"])
	})
}

func TestALeaseThatIsTakenBackInLineForRoomIsNotHandedOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		room, store := limit.NewRoom(4<<20), newStore(t)
		e := newEdge(t, store, api.Options{Limits: api.Limits{Results: room}})
		id := e.createLarge("")
		held := takeAll(t, room)
		got := make(chan answer, 1)
		go func() { got <- e.send("POST", "/v1/dequeue", `{"types":["large"]}`) }()
		synctest.Wait()
		tokens, err := store.Heartbeats(t.Context(), 0)
		require.NoError(t, err)
		require.Len(t, tokens, 1)
		_, err = store.RequeueOrFinishJob(t.Context(), tokens[0], 2, queue.Outcome{})
		require.NoError(t, err)
		held.GiveBack()
		e.tooMuch(<-got, http.StatusServiceUnavailable, "overloaded", "2")
		require.Equal(t, "pending", e.job(id)["state"])
		takeAll(t, room)
	})
}

func TestALeaseThatMayNotBeSilentForLongIsGivenBackBeforeItIsLostInLineForRoom(t *testing.T) {
	t.Parallel()
	for _, bound := range []string{"timeout_seconds", "heartbeat_timeout_seconds"} {
		t.Run(bound, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e, room := resultsOf(t, 4<<20)
				id := e.createLarge(fmt.Sprintf(`,%q:1`, bound))
				takeAll(t, room)
				began := time.Now()
				e.tooMuch(e.send("POST", "/v1/dequeue", `{"types":["large"]}`), http.StatusServiceUnavailable, "overloaded", "2")
				require.Equal(t, 500*time.Millisecond, time.Since(began))
				require.Equal(t, "pending", e.job(id)["state"])
			})
		})
	}
}
