package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

// beats sends heartbeats, and returns the entries of the answer.
func (e *edge) beats(items ...string) []map[string]any {
	e.t.Helper()
	got := e.send("POST", "/v1/leases/heartbeat", `{"heartbeats":[`+strings.Join(items, ",")+`]}`)
	require.Equal(e.t, http.StatusOK, got.status, got.body)
	var answer struct{ Heartbeats []map[string]any }
	require.NoError(e.t, json.Unmarshal([]byte(got.body), &answer))
	require.Len(e.t, answer.Heartbeats, len(items))
	return answer.Heartbeats
}

// Each heartbeat is answered as it would be alone, in the order given.
func TestHeartbeats(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{HeartbeatTimeout: 90 * time.Second, MaxResultBytes: 100})
	for range 5 {
		e.create(`{"type":"t"}`)
	}
	e.create(`{"type":"t","heartbeat_timeout_seconds":3}`)
	_, leases := e.exchange(`{"types":["t"],"max":6}`)
	e.send("POST", "/v1/jobs/"+leases[1]["id"].(string)+"/cancel", "")
	e.on(leases[2], "finish", "")
	unknown := map[string]any{"token": uuid.NewString()}
	alive := func(lease map[string]any, canceled bool, timeout float64) map[string]any {
		return map[string]any{
			"token": lease["token"], "canceled": canceled, "heartbeat_timeout_seconds": timeout, "heartbeat_in_seconds": timeout / 3,
		}
	}
	refused := func(lease map[string]any, code, body string) map[string]any {
		alone := e.on(lease, "heartbeat", body).json(t)
		require.Equal(t, code, alone["code"])
		return map[string]any{"token": lease["token"], "code": code, "detail": alone["detail"]}
	}
	before := len(e.log.lines(t, "request"))
	got := e.beats(
		report(unknown, ``), report(leases[0], ``), report(leases[1], `,"progress":{}`), report(leases[2], ``),
		report(leases[3], `,"progress":{"percent":101}`), report(leases[4], `,"partial_result":`+sized(101)),
		report(leases[5], `,"progress":{"percent":40,"message":"half"},"partial_result":[1]`),
	)
	require.Equal(t, "/v1/leases/heartbeat", e.log.lines(t, "request")[before]["route"])
	require.Equal(t, []map[string]any{
		refused(unknown, "lease-not-found", ``), alive(leases[0], false, 90), alive(leases[1], true, 90), refused(leases[2], "lease-lost", ``),
		refused(leases[3], "invalid-request", `{"progress":{"percent":101}}`), refused(leases[4], "value-too-large", `{"partial_result":`+sized(101)+`}`),
		alive(leases[5], false, 3),
	}, got)
	job := e.job(leases[5]["id"])
	require.Equal(t, map[string]any{"percent": 40.0, "message": "half"}, job["progress"])
	require.Equal(t, []any{1.0}, job["partial_result"])
	require.NotContains(t, e.job(leases[3]["id"]), "progress")
	require.NotContains(t, e.log.String(), leases[5]["token"])
}

func TestBadHeartbeats(t *testing.T) {
	t.Parallel()
	const token = "5b0b8f6c-8a55-4d1f-9c0e-2a8c3b1f7d10"
	for _, c := range []struct{ name, body, field string }{
		{"no body", ``, ""},
		{"nothing", `{}`, "heartbeats"},
		{"null", `{"heartbeats":null}`, "heartbeats"},
		{"none", `{"heartbeats":[]}`, "heartbeats"},
		{"tokens", `{"tokens":["` + token + `"]}`, "tokens"},
		{"a token that is none", `{"heartbeats":[{"token":"secret"}]}`, "heartbeats[0].token"},
		{"no token", `{"heartbeats":[{"progress":{}}]}`, "heartbeats[0].token"},
		{"bad progress", `{"heartbeats":[{"token":"` + token + `","progress":{"percent":"1"}}]}`, "heartbeats[0].progress.percent"},
		{"a token twice", `{"heartbeats":[{"token":"` + token + `","progress":{"percent":101}},{"token":"` + token + `"}]}`, "heartbeats[1].token"},
		{"too many", `{"heartbeats":[` + strings.Repeat(`{"token":"`+token+`"},`, 1000) + `{"token":"` + token + `"}]}`, "heartbeats"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, &stub{}, api.Options{})
			got := e.send("POST", "/v1/leases/heartbeat", c.body)
			e.problem(got, 400, "invalid-request", c.field)
			require.NotContains(t, got.body, "secret")
		})
	}
}

// Those that have something to be kept wait for the disk at the same time, a bounded number of
// them.
func TestHeartbeatsWaitTogether(t *testing.T) {
	t.Parallel()
	const count, bound = 1000, 32
	var now, most atomic.Int64
	full := make(chan struct{})
	q := &stub{refresh: func(_ context.Context, _ uuid.UUID, beat queue.Beat) (queue.BeatAnswer, error) {
		if beat.Empty() {
			return queue.BeatAnswer{}, nil
		}
		if n := now.Add(1); n == bound && most.CompareAndSwap(0, n) {
			close(full)
		} else if n > bound {
			most.Store(n)
		}
		defer now.Add(-1)
		select {
		case <-full:
		case <-time.After(soon):
			return queue.BeatAnswer{}, errors.New("they do not wait at the same time")
		}
		return queue.BeatAnswer{}, nil
	}}
	e := newEdge(t, q, api.Options{})
	items := make([]string, count)
	for i := range items {
		items[i] = report(map[string]any{"token": uuid.NewString()}, []string{``, `,"progress":{"percent":1}`}[i%2])
	}
	for i, entry := range e.beats(items...) {
		require.NotContains(t, entry, "code", "%d: %s", i, entry)
	}
	require.EqualValues(t, bound, most.Load())
}

// Every sentinel has its answer: what is about one lease is that one's own.
func TestSentinelsOfHeartbeats(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		code string
	}{
		{queue.ErrNotExist, "lease-not-found"},
		{queue.ErrLeaseLost, "lease-lost"},
		{queue.ErrCanceled, "job-canceled"},
		{queue.ErrDamaged, "internal"},
		{errors.New("unknown"), "internal"},
	} {
		good := uuid.New()
		q := &stub{refresh: func(_ context.Context, token uuid.UUID, _ queue.Beat) (queue.BeatAnswer, error) {
			if token == good {
				return queue.BeatAnswer{}, nil
			}
			return queue.BeatAnswer{}, errors.Join(errors.New("secret cause"), c.err)
		}}
		e := newEdge(t, q, api.Options{})
		got := e.beats(`{"token":"`+uuid.NewString()+`"}`, `{"token":"`+good.String()+`"}`, `{"token":"`+uuid.NewString()+`","progress":{}}`)
		require.Equal(t, c.code, got[0]["code"])
		require.Equal(t, false, got[1]["canceled"])
		require.Equal(t, c.code, got[2]["code"])
		require.NotContains(t, got[0]["detail"], "secret cause")
		logged := e.log.lines(t, "heartbeats failed")
		require.Equal(t, c.code == "internal", len(logged) == 1)
		if len(logged) == 1 {
			require.Equal(t, 2.0, logged[0]["heartbeats"])
			require.Contains(t, logged[0]["error"], "secret cause")
			require.Equal(t, e.log.lines(t, "request")[0]["request_id"], logged[0]["request_id"])
		}
	}
	e := newEdge(t, allFail(queue.ErrUnavailable), api.Options{})
	e.problem(e.send("POST", "/v1/leases/heartbeat", `{"heartbeats":[{"token":"`+uuid.NewString()+`"}]}`), 503, "unavailable", "")
}
