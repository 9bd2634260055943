package api_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/limit"
	"github.com/longshore-queue/longshore/internal/queue"
)

// twoCallers are an authenticator that knows a and b, who may do everything.
func twoCallers() credentials {
	c := credentials{principals: make(map[string]*auth.Principal)}
	for _, name := range []string{"a", "b"} {
		c.principals[name] = &auth.Principal{
			Name: "key:" + name, Scopes: auth.Enqueue | auth.Work | auth.Read | auth.Admin, Channels: auth.AllChannels(),
		}
	}
	return c
}

// tooMuch requires an answer that refuses for now.
func (e *edge) tooMuch(got answer, status int, code, after string) {
	e.t.Helper()
	e.problem(got, status, code, "")
	require.Equal(e.t, after, got.header.Get("Retry-After"))
}

func TestACredentialMayCallAsOftenAsTheRateSays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngineEdge(t, api.Options{Authenticator: twoCallers(), Limits: api.Limits{RequestsPerSecond: 0.5}})
		call := func(token string) answer { return e.do(as(token, "GET", "/v1/queues", "")) }
		require.Equal(t, http.StatusOK, call("a").status)
		e.tooMuch(call("a"), http.StatusTooManyRequests, "rate-limited", "2")
		require.Equal(t, http.StatusOK, call("b").status)
		require.Equal(t, http.StatusOK, e.send("GET", "/healthz", "").status)
		time.Sleep(1500 * time.Millisecond)
		e.tooMuch(call("a"), http.StatusTooManyRequests, "rate-limited", "1")
		time.Sleep(500 * time.Millisecond)
		require.Equal(t, http.StatusOK, call("a").status)
	})
}

func TestCallsThatAScopeIsMissingForCountForTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := twoCallers()
		c.principals["a"].Scopes = auth.Work
		e := newEngineEdge(t, api.Options{Authenticator: c, Limits: api.Limits{RequestsPerSecond: 0.5}})
		e.problem(e.do(as("a", "GET", "/v1/queues", "")), http.StatusForbidden, "scope-missing", "")
		e.tooMuch(e.do(as("a", "GET", "/v1/queues", "")), http.StatusTooManyRequests, "rate-limited", "2")
	})
}

func TestACredentialsOwnLimitsTakeThePlaceOfTheServers(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]api.Limits{"higher": {RequestsPerSecond: 1000, WaitingEach: 100}, "lower": {RequestsPerSecond: 0.001, WaitingEach: 1}, "none": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := twoCallers()
				c.principals["a"].Limits = auth.Limits{RequestsPerSecond: 5, Waiting: 2}
				e := newEngineEdge(t, api.Options{Authenticator: c, Limits: limits})
				held := make(chan answer)
				wait := func() answer { return e.do(as("a", "POST", "/v1/dequeue", `{"types":["none"],"wait_seconds":10}`)) }
				for range 2 {
					go func() { held <- wait() }()
				}
				synctest.Wait()
				e.tooMuch(wait(), http.StatusTooManyRequests, "too-many-waiting", "1")
				for range 2 {
					require.Equal(t, http.StatusOK, e.do(as("a", "GET", "/v1/queues", "")).status)
				}
				e.tooMuch(e.do(as("a", "GET", "/v1/queues", "")), http.StatusTooManyRequests, "rate-limited", "1")
				for range 2 {
					require.Equal(t, http.StatusNoContent, (<-held).status)
				}
			})
		})
	}
}

func TestWhereNobodyIsAskedNobodyIsLimited(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{Limits: api.Limits{RequestsPerSecond: 0.001, WaitingEach: 1}})
	for range 10 {
		require.Equal(t, http.StatusOK, e.send("GET", "/v1/queues", "").status)
	}
}

// waits are calls that wait, of each kind.
func waits(e *edge) map[string]func(token string) answer {
	job := e.do(as("b", "POST", "/v1/jobs", `{"type":"t","max_retries":5}`)).json(e.t)["id"].(string)
	lease := e.do(as("b", "POST", "/v1/jobs/"+job+"/dequeue", "")).json(e.t)["token"].(string)
	call := func(method, target, body string) func(string) answer {
		return func(token string) answer { return e.do(as(token, method, target, body)) }
	}
	return map[string]func(token string) answer{
		"dequeue":      call("POST", "/v1/dequeue", `{"types":["none"],"wait_seconds":1}`),
		"dequeueBatch": call("POST", "/v1/dequeue/batch", `{"types":["none"],"max":2,"wait_seconds":1}`),
		"getJob":       call("GET", "/v1/jobs/"+job+"?wait_seconds=1", ""),
		"waitForJobs":  call("POST", "/v1/jobs/wait", `{"ids":["`+job+`"],"wait_seconds":1}`),
		"heartbeat":    call("POST", "/v1/leases/"+lease+"/heartbeat", `{"wait_seconds":1}`),
	}
}

func TestCallsThatWaitAreBounded(t *testing.T) {
	t.Parallel()
	for name, bound := range map[string]struct {
		limits api.Limits
		status int
		code   string
		after  string
		other  int // status of what the other caller gets meanwhile
	}{
		"for each credential": {api.Limits{WaitingEach: 1}, http.StatusTooManyRequests, "too-many-waiting", "1", http.StatusNoContent},
		"in all":              {api.Limits{Waiting: 1}, http.StatusServiceUnavailable, "overloaded", "2", http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := newEngineEdge(t, api.Options{Authenticator: twoCallers(), Limits: bound.limits})
				for kind, call := range waits(e) {
					held := make(chan answer)
					go func() { held <- e.do(as("a", "POST", "/v1/dequeue", `{"types":["none"],"wait_seconds":10}`)) }()
					synctest.Wait()
					e.tooMuch(call("a"), bound.status, bound.code, bound.after)
					require.Equal(t, bound.other, e.do(as("b", "POST", "/v1/dequeue", `{"types":["none"],"wait_seconds":1}`)).status)
					require.Equal(t, http.StatusNoContent, e.do(as("a", "POST", "/v1/dequeue", `{"types":["none"]}`)).status, "it does not wait")
					require.Equal(t, http.StatusNoContent, (<-held).status)
					require.Less(t, call("a").status, 300, "%s, when there is room", kind)
				}
			})
		})
	}
}

func TestAReportIsTakenWhereItsCallMayNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngineEdge(t, api.Options{Limits: api.Limits{Waiting: 1}})
		id := e.create(`{"type":"t"}`)["id"]
		lease := e.lease(`{"types":["t"]}`)
		held := make(chan answer)
		go func() { held <- e.send("POST", "/v1/dequeue", `{"types":["none"],"wait_seconds":10}`) }()
		synctest.Wait()
		began := time.Now()
		got := e.send("POST", "/v1/dequeue", fmt.Sprintf(`{"types":["t"],"wait_seconds":5,"finish":{"token":%q,"result":1}}`, lease["token"]))
		require.Equal(t, http.StatusNoContent, got.status)
		require.Zero(t, time.Since(began))
		require.Equal(t, "finished", e.job(id)["state"])
		<-held
	})
}

// What a heartbeat says is not kept if its answer cannot be held back: it is refused, and refused whole.
func TestAHeartbeatThatMayNotWaitHasChangedNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := newEngineEdge(t, api.Options{Limits: api.Limits{Waiting: 1}})
		id := e.create(`{"type":"t"}`)["id"].(string)
		lease := e.lease(`{"types":["t"]}`)
		held := make(chan answer)
		go func() { held <- e.send("POST", "/v1/dequeue", `{"types":["none"],"wait_seconds":10}`) }()
		synctest.Wait()
		time.Sleep(time.Second)
		before := e.job(id)
		e.tooMuch(e.on(lease, "heartbeat", `{"progress":{"percent":40},"partial_result":1,"wait_seconds":5}`), http.StatusServiceUnavailable, "overloaded", "2")
		require.Equal(t, before, e.job(id))
		require.NotEqual(t, time.Now().UTC().Format(time.RFC3339Nano), e.send("GET", "/v1/jobs/"+id+"/explain", "").json(t)["last_heartbeat_at"])
		require.Equal(t, http.StatusOK, e.on(lease, "heartbeat", `{"progress":{"percent":40}}`).status, "it does not wait")
		require.Equal(t, map[string]any{"percent": 40.0}, e.job(id)["progress"])
		require.Equal(t, http.StatusNoContent, (<-held).status)
		began := time.Now()
		require.Equal(t, http.StatusOK, e.on(lease, "heartbeat", `{"wait_seconds":5}`).status, "there is room")
		require.Equal(t, 5*time.Second, time.Since(began))
	})
}

func TestWhileMemoryIsShortJobsAreWorkedOffAndNobodyAddsAnyOrWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		used := uint64(0)
		e := newEngineEdge(t, api.Options{Limits: api.Limits{Memory: limit.NewMemory(1000, func() uint64 { return used }, func() {})}})
		var ids []any
		for range 6 {
			ids = append(ids, e.create(`{"type":"t"}`)["id"])
		}
		first, second := e.lease(`{"types":["t"]}`), e.lease(`{"types":["t"]}`)
		used = 900
		time.Sleep(time.Second)
		for _, call := range []struct{ method, target, body string }{
			{"POST", "/v1/jobs", `{"type":"t"}`},
			{"POST", "/v1/jobs", `not even read`},
			{"POST", "/v1/jobs/batch", `{"jobs":[{"type":"t"}]}`},
			{"GET", "/v1/jobs", ""},
			{"POST", "/v1/jobs/wait", fmt.Sprintf(`{"ids":[%q]}`, ids[0])},
			{"GET", "/v1/events", ""},
			{"POST", "/v1/dequeue", `{"types":["none"]}`},
			{"POST", "/v1/dequeue", `{"types":["none"],"wait_seconds":10}`},
			{"POST", "/v1/dequeue/batch", `{"types":["none"],"max":1,"wait_seconds":10}`},
		} {
			began := time.Now()
			e.tooMuch(e.send(call.method, call.target, call.body), http.StatusServiceUnavailable, "overloaded", "2")
			require.Zero(t, time.Since(began))
		}
		require.Equal(t, ids[2], e.lease(`{"types":["t"],"wait_seconds":10}`)["id"])
		_, leases := e.exchange(`{"types":["t"],"max":1}`)
		require.Equal(t, ids[3], leases[0]["id"])
		require.Equal(t, ids[4], e.send("POST", fmt.Sprintf("/v1/jobs/%s/dequeue", ids[4]), "").json(t)["id"])
		require.Equal(t, http.StatusOK, e.send("GET", "/healthz", "").status)
		require.Equal(t, http.StatusOK, e.on(first, "heartbeat", "").status)
		require.Equal(t, http.StatusOK, e.on(first, "finish", `{"result":1}`).status)
		began := time.Now()
		got := e.send("POST", "/v1/dequeue", fmt.Sprintf(`{"types":["none"],"wait_seconds":5,"finish":{"token":%q,"result":1}}`, second["token"]))
		require.Equal(t, http.StatusNoContent, got.status)
		require.Zero(t, time.Since(began), "it does not wait")
		used = 100
		time.Sleep(time.Second)
		for i, state := range []string{"finished", "finished", "running", "running", "running", "pending"} {
			require.Equal(t, state, e.job(ids[i])["state"])
		}
		e.create(`{"type":"t"}`)
		e.lease(`{"types":["t"]}`)
	})
}

func TestWhileMemoryIsShortThereIsRoomForAFewLeasesAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		used, room := uint64(0), limit.NewRoom(100<<10)
		e := newEngineEdge(t, api.Options{Limits: api.Limits{
			Memory: limit.NewMemory(1000, func() uint64 { return used }, func() {}), Answers: room,
		}})
		for range 3 {
			e.create(`{"type":"t"}`)
		}
		id := e.create(`{"type":"u"}`)["id"]
		before := e.lease(`{"types":["t"]}`)
		used = 900
		time.Sleep(time.Second)
		held := takeAll(t, room)
		byID := fmt.Sprintf("/v1/jobs/%s/dequeue", id)
		for target, body := range map[string]string{"/v1/dequeue": `{"types":["t"]}`, "/v1/dequeue/batch": `{"types":["t"],"max":1}`, byID: ""} {
			began := time.Now()
			e.tooMuch(e.send("POST", target, body), http.StatusServiceUnavailable, "overloaded", "2")
			require.Equal(t, 2*time.Second, time.Since(began), target)
		}
		next := fmt.Sprintf(`{"types":["t"],"finish":{"token":%q}}`, before["token"])
		require.Equal(t, http.StatusNoContent, e.send("POST", "/v1/dequeue", next).status, "the report is taken")
		require.Equal(t, "finished", e.job(before["id"])["state"])
		held.GiveBack()
		e.lease(`{"types":["t"]}`)
		e.lease(next)
		require.Equal(t, http.StatusCreated, e.send("POST", byID, "").status)
		takeAll(t, room)
	})
}

func TestAChannelHasNoMoreJobsThanItsQuota(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{Limits: api.Limits{Open: queue.Amount{Jobs: 2}}})
	full := func(got answer) {
		t.Helper()
		e.tooMuch(got, http.StatusTooManyRequests, "quota-exceeded", "1")
	}
	id := e.create(`{"type":"t"}`)["id"]
	full(e.send("POST", "/v1/jobs/batch", `{"jobs":[{"type":"t"},{"type":"u"}]}`))
	e.create(`{"type":"u","channel":"default"}`)
	got := e.send("POST", "/v1/jobs", `{"type":"v"}`)
	full(got)
	require.Equal(t, "the channel default may have 2 jobs that are not over; nothing was created", got.json(t)["detail"])
	e.create(`{"type":"t","channel":"other"}`)
	full(e.send("POST", "/v1/jobs/batch", `{"jobs":[{"type":"t","channel":"other"},{"type":"t"}]}`))
	e.create(`{"type":"t","channel":"other"}`)

	lease := e.lease(`{"types":["t"]}`)
	full(e.send("POST", "/v1/jobs", `{"type":"t"}`)) // a running job may come back
	list := e.send("GET", "/v1/queues?type=t", "").json(t)
	require.Equal(t, []any{
		map[string]any{"channel": "default", "jobs_limit": 2.0, "jobs_used": 2.0},
		map[string]any{"channel": "other", "jobs_limit": 2.0, "jobs_used": 2.0},
	}, list["quotas"])
	require.Equal(t, http.StatusOK, e.on(lease, "finish", `{"result":1}`).status)
	require.Equal(t, "finished", e.job(id)["state"])
	e.create(`{"type":"t"}`)
}

func TestAChannelHasNoMoreBytesThanItsQuota(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{Limits: api.Limits{Open: queue.Amount{Bytes: 20}}})
	full := func(got answer) {
		t.Helper()
		e.tooMuch(got, http.StatusTooManyRequests, "quota-exceeded", "1")
		require.Equal(t, "the channel default may have 20 bytes of args in jobs that are not over; nothing was created", got.json(t)["detail"])
	}
	full(e.send("POST", "/v1/jobs", `{"type":"t","args":"more than 20 bytes of args"}`)) // that alone is more
	id := e.create(`{"type":"t","args":"12345678"}`)["id"]
	e.create(`{"type":"u"}`) // null
	full(e.send("POST", "/v1/jobs/batch", `{"jobs":[{"type":"t","args":1},{"type":"u","args":"123456"}]}`))
	e.create(`{"type":"u","args":"1234"}`)
	full(e.send("POST", "/v1/jobs", `{"type":"t","args":1}`))
	e.create(`{"type":"t","channel":"other","args":"123456789012345678"}`)

	list := e.send("GET", "/v1/queues", "").json(t)
	require.Equal(t, []any{
		map[string]any{"channel": "default", "bytes_limit": 20.0, "bytes_used": 20.0},
		map[string]any{"channel": "other", "bytes_limit": 20.0, "bytes_used": 20.0},
	}, list["quotas"])
	var bytes []any
	for _, lane := range list["queues"].([]any) {
		bytes = append(bytes, lane.(map[string]any)["bytes"])
	}
	require.Equal(t, []any{10.0, 10.0, 20.0}, bytes)
	require.Equal(t, http.StatusOK, e.on(e.lease(`{"types":["t"]}`), "finish", `{"result":1}`).status)
	require.Equal(t, "finished", e.job(id)["state"])
	e.create(`{"type":"t","args":"12345678"}`)
	full(e.send("POST", "/v1/jobs", `{"type":"t","args":1}`))
}

func TestAQuotaMayBeOfJobsAndOfBytes(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{Limits: api.Limits{Open: queue.Amount{Jobs: 2, Bytes: 10}}})
	e.create(`{"type":"t","args":1}`)
	got := e.send("POST", "/v1/jobs", `{"type":"t","args":"12345678"}`)
	e.tooMuch(got, http.StatusTooManyRequests, "quota-exceeded", "1")
	require.Contains(t, got.json(t)["detail"], "10 bytes")
	e.create(`{"type":"t","args":1}`)
	got = e.send("POST", "/v1/jobs", `{"type":"t","args":1}`)
	e.tooMuch(got, http.StatusTooManyRequests, "quota-exceeded", "1")
	require.Contains(t, got.json(t)["detail"], "2 jobs")
	require.Equal(t, []any{
		map[string]any{"channel": "default", "bytes_limit": 10.0, "bytes_used": 2.0, "jobs_limit": 2.0, "jobs_used": 2.0},
	}, e.send("GET", "/v1/queues", "").json(t)["quotas"])
}

// forgetful is a queue that does not know how large its jobs are.
type forgetful struct{ api.Queue }

// OpenJobs implements api.Queue.
func (f forgetful) OpenJobs(ctx context.Context, channels []string) (map[string]queue.Amount, error) {
	open, err := f.Queue.OpenJobs(ctx, channels)
	for channel, n := range open {
		n.Bytes = queue.UnknownBytes
		open[channel] = n
	}
	return open, err
}

// Queues implements api.Queue.
func (f forgetful) Queues(ctx context.Context, listing queue.LaneListing) (queue.LanePage, error) {
	page, err := f.Queue.Queues(ctx, listing)
	for i := range page.Queues {
		page.Queues[i].Bytes = queue.UnknownBytes
	}
	return page, err
}

func TestBytesThatNobodyKnowsAreNotToldAndKeepNobodyOut(t *testing.T) {
	t.Parallel()
	e := newEdge(t, forgetful{newStore(t)}, api.Options{Limits: api.Limits{Open: queue.Amount{Bytes: 10}}})
	e.create(`{"type":"t","args":"12345678"}`)
	e.create(`{"type":"t","args":"12345678"}`)
	list := e.send("GET", "/v1/queues", "")
	require.Equal(t, []any{map[string]any{"channel": "default", "bytes_limit": 10.0}}, list.json(t)["quotas"])
	require.NotContains(t, list.body, `"bytes":`)
	e.tooMuch(e.send("POST", "/v1/jobs", `{"type":"t","args":"123456789"}`), http.StatusTooManyRequests, "quota-exceeded", "1")
}

func TestACallThatIsRepeatedIsAnsweredAsTheFirstThoughTheChannelIsFull(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]api.Limits{
		"counted each time": {Open: queue.Amount{Jobs: 2}}, "counted once in a while": {Open: queue.Amount{Jobs: 2}, OpenKnown: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngineEdge(t, api.Options{Limits: limits})
			const jobs = `{"jobs":[{"type":"t"},{"type":"u"}]}`
			first := e.with("POST", "/v1/jobs/batch", jobs, keyHeader, "a")
			require.Equal(t, http.StatusCreated, first.status)
			again := e.with("POST", "/v1/jobs/batch", jobs, keyHeader, "a")
			require.Equal(t, http.StatusCreated, again.status)
			require.Equal(t, first.json(t), again.json(t))
			e.tooMuch(e.with("POST", "/v1/jobs/batch", jobs, keyHeader, "b"), http.StatusTooManyRequests, "quota-exceeded", "1")
			e.problem(e.with("POST", "/v1/jobs/batch", `{"jobs":[{"type":"v"}]}`, keyHeader, "a"), http.StatusUnprocessableEntity, "idempotency-key-reused", "")
			require.Len(t, e.send("GET", "/v1/jobs", "").json(t)["jobs"], 2)
		})
	}
}

func TestWhatACallDoesNotAddUsesNoQuota(t *testing.T) {
	t.Parallel()
	onEveryEngine(t, func(t *testing.T, open func() api.Queue) {
		e := newEdge(t, open(), api.Options{Limits: api.Limits{Open: queue.Amount{Jobs: 4, Bytes: 16}, OpenKnown: time.Hour}})
		failed, _ := e.create(`{"type":"failed"}`)["id"].(string) // which counts for that hour
		require.Equal(t, http.StatusOK, e.on(e.lease(`{"types":["failed"]}`), "fail", `{"error":{"reason":"no"}}`).status)
		e.create(`{"type":"t","unique_key":"u"}`)
		const plain, later = `{"type":"t"}`, `{"jobs":[{"type":"t","delay_seconds":60}]}`
		for range 4 {
			require.Equal(t, http.StatusCreated, e.with("POST", "/v1/jobs", plain, keyHeader, "plain").status)
			require.Equal(t, http.StatusOK, e.send("POST", "/v1/jobs", `{"type":"t","unique_key":"u"}`).status)
			require.Equal(t, "failed", e.create(`{"type":"over","dependencies":["` + failed + `"]}`)["state"])
		}
		for range 4 {
			require.Equal(t, http.StatusCreated, e.with("POST", "/v1/jobs/batch", later, keyHeader, "later").status)
		}
		e.tooMuch(e.send("POST", "/v1/jobs", plain), http.StatusTooManyRequests, "quota-exceeded", "1")
	})
}

func TestAQuotaIsOfTheChannelThatTheCredentialIsFor(t *testing.T) {
	t.Parallel()
	c := twoCallers()
	c.principals["a"].Channels = auth.SomeChannels("own")
	e := newEngineEdge(t, api.Options{Authenticator: c, Limits: api.Limits{Open: queue.Amount{Jobs: 1}}})
	create := func(token, body string) answer { return e.do(as(token, "POST", "/v1/jobs", body)) }
	require.Equal(t, http.StatusCreated, create("b", `{"type":"t"}`).status)
	e.problem(create("a", `{"type":"t","channel":"default"}`), http.StatusForbidden, "channel-forbidden", "channel")
	require.Equal(t, http.StatusCreated, create("a", `{"type":"t"}`).status)
	e.tooMuch(create("a", `{"type":"t"}`), http.StatusTooManyRequests, "quota-exceeded", "1")
	e.tooMuch(create("b", `{"type":"t","channel":"own"}`), http.StatusTooManyRequests, "quota-exceeded", "1")
	list := e.do(as("a", "GET", "/v1/queues", "")).json(t)
	require.Equal(t, []any{map[string]any{"channel": "own", "jobs_limit": 1.0, "jobs_used": 1.0}}, list["quotas"])
}

func TestAJobThatIsRefusedUsesNoQuota(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{Limits: api.Limits{Open: queue.Amount{Jobs: 1}, OpenKnown: time.Hour}})
	for range 3 {
		got := e.send("POST", "/v1/jobs", `{"type":"t","dependencies":["01a2109a-e536-7cfc-bd8a-5405edcf9f57"]}`)
		e.problem(got, http.StatusUnprocessableEntity, "dependency-not-found", "dependencies[0]")
	}
	e.create(`{"type":"t"}`)
	e.tooMuch(e.send("POST", "/v1/jobs", `{"type":"t"}`), http.StatusTooManyRequests, "quota-exceeded", "1")
}

func TestQuotasAreNotListedWhereThereAreNone(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	e.create(`{"type":"t"}`)
	require.NotContains(t, e.send("GET", "/v1/queues", "").body, "quotas")
}
