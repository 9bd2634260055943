package api_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

// refusing is a queue that looks at new jobs as every engine does, and of which a test says
// that none will do.
func refusing(t *testing.T) *stub {
	t.Helper()
	return &stub{enqueue: func(_ context.Context, jobs []queue.NewJob) ([]queue.Enqueued, error) {
		_, err := queue.NewGraph(jobs)
		require.Error(t, err, "%+v", jobs)
		return nil, err
	}}
}

// members makes n members of an object, such as "a0":"x".
func members(n int) string {
	text := make([]string, n)
	for i := range text {
		text[i] = fmt.Sprintf(`"a%d":"x"`, i)
	}
	return strings.Join(text, ",")
}

// What is wrong with a new job is refused under the name of the field, be it alone or one of
// a batch, and nothing reaches the queue that it would take.
func TestBadJobs(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 257)
	for _, c := range []struct{ name, members, field string }{
		{"name is empty", `"name":""`, "name"},
		{"name with a space", `"name":"a b"`, "name"},
		{"name is null", `"name":null`, "name"},
		{"name too long", `"name":"` + long + `"`, "name"},
		{"needs is an object", `"needs":{}`, "needs"},
		{"needs is null", `"needs":null`, "needs"},
		{"need is null", `"needs":[null]`, "needs[0]"},
		{"need is a number", `"needs":[1]`, "needs[0]"},
		{"need is an array", `"needs":[["a"]]`, "needs[0]"},
		{"need of a name that is none", `"needs":["nobody"]`, "needs[0]"},
		{"need is empty", `"needs":[""]`, "needs[0]"},
		{"need is half a character", `"needs":["\ud800"]`, "needs[0]"},
		{"need of itself", `"name":"me","needs":["me"]`, "needs[0]"},
		{"need without name", `"needs":[{"if":"finished"}]`, "needs[0].name"},
		{"need with an unknown field", `"needs":[{"name":"a","when":1}]`, "needs[0].when"},
		{"need with a name that is a number", `"needs":[{"name":1}]`, "needs[0].name"},
		{"need with a name of half a character", `"needs":[{"name":"\udfff"}]`, "needs[0].name"},
		{"need with a name twice", `"needs":[{"name":"a","name":"b"}]`, "needs[0].name"},
		{"need with a condition that is none", `"needs":["b",{"name":"a","if":"failed"}]`, "needs[1].if"},
		{"need with an empty condition", `"needs":[{"name":"a","if":""}]`, "needs[0].if"},
		{"need with a null condition", `"needs":[{"name":"a","if":null}]`, "needs[0].if"},
		{"need with a condition that is a number", `"needs":[{"name":"a","if":1}]`, "needs[0].if"},
		{"too many needs", `"needs":["a"` + strings.Repeat(`,"a"`, 10_000) + `]`, "needs"},
		{"too many dependencies", `"dependencies":["` + testID + `"` + strings.Repeat(`,"`+testID+`"`, 10_000) + `]`, "dependencies"},

		{"priority too high", `"priority":101`, "priority"},
		{"priority too low", `"priority":-101`, "priority"},
		{"priority huge", `"priority":9223372036854775808`, "priority"},
		{"priority is a fraction", `"priority":0.5`, "priority"},
		{"priority with exponent", `"priority":1e1`, "priority"},
		{"priority is text", `"priority":"1"`, "priority"},

		{"run_at is a number", `"run_at":1700000000`, "run_at"},
		{"run_at is null", `"run_at":null`, "run_at"},
		{"run_at without zone", `"run_at":"2026-11-17T22:00:00"`, "run_at"},
		{"run_at is a date", `"run_at":"2026-11-17"`, "run_at"},
		{"run_at with a space", `"run_at":"2026-11-17 22:00:00Z"`, "run_at"},
		{"run_at with a comma", `"run_at":"2026-11-17T22:00:00,5Z"`, "run_at"},
		{"run_at with an empty fraction", `"run_at":"2026-11-17T22:00:00.Z"`, "run_at"},
		{"run_at in small letters", `"run_at":"2026-11-17t22:00:00z"`, "run_at"},
		{"run_at with seconds of a zone", `"run_at":"2026-11-17T22:00:00+01:00:00"`, "run_at"},
		{"run_at in a zone of an hour too many minutes", `"run_at":"2026-11-17T22:00:00+01:60"`, "run_at"},
		{"run_at with more after it", `"run_at":"2026-11-17T22:00:00Z "`, "run_at"},
		{"run_at is empty", `"run_at":""`, "run_at"},
		{"run_at with one digit of an hour", `"run_at":"2026-11-17T2:00:00Z"`, "run_at"},
		{"run_at on a day that is none", `"run_at":"2026-02-30T22:00:00Z"`, "run_at"},
		{"run_at in an hour that is none", `"run_at":"2026-11-17T24:00:00Z"`, "run_at"},
		{"run_at in a leap second", `"run_at":"2026-12-31T23:59:60Z"`, "run_at"},
		{"run_at in a zone that is none", `"run_at":"2026-11-17T22:00:00+25:00"`, "run_at"},
		{"run_at in the year 0", `"run_at":"0000-01-01T00:00:00Z"`, "run_at"},
		{"run_at at the zero of Go", `"run_at":"0001-01-01T00:00:00Z"`, "run_at"},
		{"run_at before 1970", `"run_at":"1969-12-31T23:59:59.999998Z"`, "run_at"},
		{"run_at before 1970 in UTC", `"run_at":"1970-01-01T00:30:00+01:00"`, "run_at"},
		{"run_at after 9999 in UTC", `"run_at":"9999-12-31T23:30:00-01:00"`, "run_at"},
		{"run_at after 9999 when rounded", `"run_at":"9999-12-31T23:59:59.9999991Z"`, "run_at"},
		{"run_at in the year 10000", `"run_at":"10000-01-01T00:00:00Z"`, "run_at"},
		{"expires_at is text", `"expires_at":"soon"`, "expires_at"},
		{"expires_at at the zero of Go", `"expires_at":"0001-01-01T00:00:00Z"`, "expires_at"},
		{"expires_at before run_at", `"run_at":"2026-11-17T22:00:00Z","expires_at":"2026-11-17T21:00:00Z"`, "expires_at"},
		{"expires_at with run_at", `"run_at":"2026-11-17T22:00:00Z","expires_at":"2026-11-17T23:00:00+01:00"`, "expires_at"},
		{"expires_at less than a microsecond after run_at", `"run_at":"2026-11-17T22:00:00.0000001Z","expires_at":"2026-11-17T22:00:00.0000002Z"`, "expires_at"},

		{"delay with run_at", `"delay_seconds":1,"run_at":"2026-11-17T22:00:00Z"`, "delay_seconds"},
		{"no delay with run_at", `"delay_seconds":0,"run_at":"2026-11-17T22:00:00Z"`, "delay_seconds"},
		{"delay negative", `"delay_seconds":-1`, "delay_seconds"},
		{"delay a little negative", `"delay_seconds":-1e-300`, "delay_seconds"},
		{"delay too long", `"delay_seconds":315360000.1`, "delay_seconds"},
		{"delay beyond a duration", `"delay_seconds":1e300`, "delay_seconds"},
		{"delay beyond a duration, negative", `"delay_seconds":-1e300`, "delay_seconds"},
		{"delay where a duration would wrap", `"delay_seconds":18446744074`, "delay_seconds"},
		{"delay infinite", `"delay_seconds":1e999`, "delay_seconds"},
		{"delay is text", `"delay_seconds":"1"`, "delay_seconds"},
		{"delay is null", `"delay_seconds":null`, "delay_seconds"},

		{"timeout zero", `"timeout_seconds":0`, "timeout_seconds"},
		{"timeout next to zero", `"timeout_seconds":1e-300`, "timeout_seconds"},
		{"timeout too short", `"timeout_seconds":0.999`, "timeout_seconds"},
		{"timeout negative", `"timeout_seconds":-60`, "timeout_seconds"},
		{"timeout too long", `"timeout_seconds":31536001`, "timeout_seconds"},
		{"heartbeat timeout zero", `"heartbeat_timeout_seconds":0`, "heartbeat_timeout_seconds"},
		{"heartbeat timeout too short", `"heartbeat_timeout_seconds":0.5`, "heartbeat_timeout_seconds"},
		{"heartbeat timeout too long", `"heartbeat_timeout_seconds":604801`, "heartbeat_timeout_seconds"},
		{"heartbeat timeout beyond a duration", `"heartbeat_timeout_seconds":1e20`, "heartbeat_timeout_seconds"},
		{"max_timeouts negative", `"timeout_seconds":60,"max_timeouts":-1`, "max_timeouts"},
		{"max_timeouts too many", `"timeout_seconds":60,"max_timeouts":1001`, "max_timeouts"},
		{"max_timeouts without timeout", `"max_timeouts":1`, "max_timeouts"},
		{"max_retries negative", `"max_retries":-1`, "max_retries"},
		{"max_retries least of all", fmt.Sprintf(`"max_retries":%d`, math.MinInt64), "max_retries"},

		{"retry is a number", `"retry":3`, "retry"},
		{"retry is null", `"retry":null`, "retry"},
		{"retry is empty", `"retry":{}`, "retry.max_attempts"},
		{"retry with an unknown field", `"retry":{"max_attempts":3,"delay":1}`, "retry.delay"},
		{"attempts zero", `"retry":{"max_attempts":0}`, "retry.max_attempts"},
		{"attempts negative", `"retry":{"max_attempts":-1}`, "retry.max_attempts"},
		{"attempts too many", `"retry":{"max_attempts":1001}`, "retry.max_attempts"},
		{"initial negative", `"retry":{"max_attempts":3,"initial_seconds":-1}`, "retry.initial_seconds"},
		{"initial too long", `"retry":{"max_attempts":3,"initial_seconds":315360001}`, "retry.initial_seconds"},
		{"initial beyond a duration", `"retry":{"max_attempts":3,"initial_seconds":1e19}`, "retry.initial_seconds"},
		{"factor less than 1", `"retry":{"max_attempts":3,"factor":0.99}`, "retry.factor"},
		{"factor too large", `"retry":{"max_attempts":3,"factor":1001}`, "retry.factor"},
		{"max less than initial", `"retry":{"max_attempts":3,"initial_seconds":10,"max_seconds":9}`, "retry.max_seconds"},
		{"max less than the default of initial", `"retry":{"max_attempts":3,"max_seconds":0.5}`, "retry.max_seconds"},
		{"max too long", `"retry":{"max_attempts":3,"max_seconds":315360001}`, "retry.max_seconds"},
		{"jitter negative", `"retry":{"max_attempts":3,"jitter":-0.1}`, "retry.jitter"},
		{"jitter more than all", `"retry":{"max_attempts":3,"jitter":1.01}`, "retry.jitter"},

		{"unique_key is empty", `"unique_key":""`, "unique_key"},
		{"unique_key too long", `"unique_key":"` + long + `"`, "unique_key"},
		{"unique_key with a control character", `"unique_key":"a\u0007"`, "unique_key"},
		{"unique_key is a number", `"unique_key":1`, "unique_key"},

		{"labels is an array", `"labels":[]`, "labels"},
		{"labels is null", `"labels":null`, "labels"},
		{"label is a number", `"labels":{"a":"x","b":1}`, "labels.b"},
		{"label is null", `"labels":{"a":null}`, "labels.a"},
		{"label twice", `"labels":{"a":"x","\u0061":"y"}`, "labels.a"},
		{"label without name", `"labels":{"":"x"}`, "labels"},
		{"label with a bad name", `"labels":{"a b":"x"}`, "labels"},
		{"label with half a character in its name", `"labels":{"\ud800":"x"}`, "labels.\ufffd"},
		{"label with half a character", `"labels":{"a":"\ud800"}`, "labels.a"},
		{"label with a long name", `"labels":{"` + strings.Repeat("n", 65) + `":"x"}`, "labels"},
		{"label too long", `"labels":{"a":"` + long + `"}`, "labels.a"},
		{"label with a control character", `"labels":{"a":"x\n"}`, "labels.a"},
		{"too many labels", `"labels":{` + members(33) + `}`, "labels"},
		{"far too many labels", `"labels":{` + members(1000) + `}`, "labels"},

		{"traceparent is empty", `"traceparent":""`, "traceparent"},
		{"traceparent cut", `"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0"`, "traceparent"},
		{"traceparent of zeros", `"traceparent":"00-00000000000000000000000000000000-b7ad6b7169203331-01"`, "traceparent"},
		{"traceparent in capitals", `"traceparent":"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"`, "traceparent"},
		{"traceparent of version ff", `"traceparent":"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"`, "traceparent"},
		{"traceparent is a number", `"traceparent":1`, "traceparent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, refusing(t), api.Options{})
			got := e.send("POST", "/v1/jobs", `{"type":"t",`+c.members+`}`)
			e.problem(got, 400, "invalid-request", c.field)
			require.True(t, strings.HasPrefix(got.json(t)["detail"].(string), c.field+": "), got.body)
			require.LessOrEqual(t, len(got.body), 1000)
			inBatch := strings.ReplaceAll(c.members, `"a"`, `"other"`)
			field := strings.ReplaceAll(c.field, "labels.a", "labels.other")
			if c.name == "label twice" {
				inBatch, field = c.members, c.field
			}
			got = e.send("POST", "/v1/jobs/batch", `{"jobs":[{"type":"t","name":"other"},{"type":"t",`+inBatch+`}]}`)
			e.problem(got, 400, "invalid-request", "jobs[1]."+field)
			require.True(t, strings.HasPrefix(got.json(t)["detail"].(string), "jobs[1]."+field+": "), got.body)
			require.LessOrEqual(t, len(got.body), 1000)
		})
	}
}

const testID = "01933a6e-7b3a-7c3e-9d2f-2f6f4c1a0b03"

// What may be given of a job reaches the queue as it was meant.
func TestGoodJobs(t *testing.T) {
	t.Parallel()
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	day := time.Date(2026, 11, 17, 22, 0, 0, 0, time.UTC)
	policy := queue.RetryPolicy{
		MaxAttempts: 3, Initial: time.Second, Factor: 2, Max: time.Hour, Jitter: 0.2,
	}
	with := func(change func(*queue.RetryPolicy)) *queue.RetryPolicy {
		p := policy
		change(&p)
		return &p
	}
	most := uint64(1000)
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, c := range []struct {
		name, members string
		want          queue.NewJob
	}{
		{"a name", `"name":"left"`, queue.NewJob{Name: "left"}},
		{"no needs", `"needs":[]`, queue.NewJob{Needs: []queue.Need{}}},
		{"priority", `"priority":-100`, queue.NewJob{Priority: -100}},
		{"run_at", `"run_at":"2026-11-17T22:00:00Z"`, queue.NewJob{RunAt: day}},
		{"run_at elsewhere", `"run_at":"2026-11-18T03:30:00+05:30"`, queue.NewJob{RunAt: day}},
		{"run_at, escaped", `"run_at":"2026-11-17T22:00:00\u005a"`, queue.NewJob{RunAt: day}},
		{"run_at, rounded up", `"run_at":"2026-11-17T22:00:00.000000001Z"`, queue.NewJob{RunAt: day.Add(time.Microsecond)}},
		{"run_at with many digits", `"run_at":"2026-11-17T22:00:00.00000000000000000001Z"`, queue.NewJob{RunAt: day}},
		{"run_at at first", `"run_at":"1970-01-01T00:00:00Z"`, queue.NewJob{RunAt: time.Unix(0, 0).UTC()}},
		{"run_at at last", `"run_at":"9999-12-31T23:59:59.999999Z"`, queue.NewJob{RunAt: time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)}},
		{"run_at and expires_at", `"run_at":"2026-11-17T22:00:00Z","expires_at":"2026-11-17T22:00:00.000001Z"`, queue.NewJob{RunAt: day, ExpiresAt: day.Add(time.Microsecond)}},
		{"no delay", `"delay_seconds":0`, queue.NewJob{}},
		{"no delay, negative", `"delay_seconds":-0.0`, queue.NewJob{}},
		{"delay", `"delay_seconds":1.1`, queue.NewJob{Delay: 1100 * time.Millisecond}},
		{"delay next to nothing", `"delay_seconds":1e-300`, queue.NewJob{Delay: time.Microsecond}},
		{"longest delay", `"delay_seconds":315360000`, queue.NewJob{Delay: queue.MaxDelay}},
		{"delay to the microsecond", `"delay_seconds":315359999.123457`, queue.NewJob{Delay: 315359999123457 * time.Microsecond}},
		{"shortest timeout", `"timeout_seconds":1,"heartbeat_timeout_seconds":1`, queue.NewJob{Timeout: time.Second, HeartbeatTimeout: time.Second}},
		{"timeout a little short", `"timeout_seconds":0.9999999`, queue.NewJob{Timeout: time.Second}},
		{"longest timeout", `"timeout_seconds":31536000,"heartbeat_timeout_seconds":604800,"max_timeouts":1000`, queue.NewJob{Timeout: queue.MaxTimeout, HeartbeatTimeout: queue.MaxHeartbeatTimeout, MaxTimeouts: 1000}},
		{"no timeouts", `"max_timeouts":0`, queue.NewJob{}},
		{"most retries", `"max_retries":1000`, queue.NewJob{MaxRetries: &most}},
		{"retry with defaults", `"retry":{"max_attempts":3}`, queue.NewJob{Retry: &policy}},
		{"retry with all", `"retry":{"max_attempts":1000,"initial_seconds":0.25,"factor":1,"max_seconds":0.25,"jitter":1}`, queue.NewJob{Retry: &queue.RetryPolicy{
			MaxAttempts: 1000, Initial: seconds(0.25), Factor: 1, Max: seconds(0.25), Jitter: 1,
		}}},
		{"retry at once", `"retry":{"max_attempts":3,"initial_seconds":0,"max_seconds":0,"jitter":0}`, queue.NewJob{Retry: with(func(p *queue.RetryPolicy) { p.Initial, p.Max, p.Jitter = 0, 0, 0 })}},
		{"retry with a long initial", `"retry":{"max_attempts":3,"initial_seconds":7200}`, queue.NewJob{Retry: with(func(p *queue.RetryPolicy) { p.Initial, p.Max = 2*time.Hour, 2*time.Hour })}},
		{"unique key", `"unique_key":"ä b/c"`, queue.NewJob{UniqueKey: "ä b/c"}},
		{"labels", `"labels":{"team":"print","a.b/c":""}`, queue.NewJob{Labels: map[string]string{"team": "print", "a.b/c": ""}}},
		{"most labels", `"labels":{` + members(32) + `}`, queue.NewJob{Labels: manyLabels(32)}},
		{"no labels", `"labels":{}`, queue.NewJob{Labels: map[string]string{}}},
		{"trace context", `"traceparent":"` + trace + `"`, queue.NewJob{TraceParent: trace}},
		{"trace context of a later version", `"traceparent":"cc` + trace[2:] + `-more"`, queue.NewJob{TraceParent: "cc" + trace[2:] + "-more"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got []queue.NewJob
			q := &stub{enqueue: func(_ context.Context, jobs []queue.NewJob) ([]queue.Enqueued, error) {
				got = jobs
				_, err := queue.NewGraph(jobs)
				return enqueued(queue.Status{ID: uuid.New(), Type: "t", Channel: "default", State: queue.Pending}), err
			}}
			e := newEdge(t, q, api.Options{})
			want := c.want
			want.Type, want.Args = "t", []byte("null")
			body := `{"type":"t",` + c.members + `}`
			require.Equal(t, http.StatusCreated, e.send("POST", "/v1/jobs", body).status)
			require.Equal(t, []queue.NewJob{want}, got)
			require.Equal(t, http.StatusCreated, e.send("POST", "/v1/jobs/batch", `{"jobs":[`+body+`]}`).status)
			require.Equal(t, []queue.NewJob{want}, got)
		})
	}
}

func manyLabels(n int) map[string]string {
	labels := make(map[string]string)
	for i := range n {
		labels[fmt.Sprintf("a%d", i)] = "x"
	}
	return labels
}

// A job that has everything shows everything, as it was given, in every answer it is part of.
func TestJobWithEverything(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	given := `"type":"merge","channel":"acme","args":{"out":1},"priority":-7,"run_at":"2020-01-01T01:00:00.1234567+01:00",` +
		`"expires_at":"2999-01-01T00:00:00Z","timeout_seconds":600.5,"max_timeouts":1,"heartbeat_timeout_seconds":30,"max_retries":5,` +
		`"retry":{"max_attempts":5,"initial_seconds":10,"factor":3,"max_seconds":600,"jitter":0.5},"unique_key":"k","labels":{"team":"print"},` +
		`"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"`
	job := e.create(`{` + given + `}`)
	queued := job["queued_at"]
	want := map[string]any{
		"id": job["id"], "type": "merge", "channel": "acme", "state": "pending", "args": map[string]any{"out": 1.0}, "canceled": false,
		"attempt": 0.0, "retries": 0.0, "failures": 0.0, "timeouts": 0.0, "generation": 0.0, "run_if": "all_succeeded",
		"queued_at": queued, "dependencies": []any{}, "dependents": []any{},
		"priority": -7.0, "run_at": "2020-01-01T00:00:00.123457Z", "expires_at": "2999-01-01T00:00:00Z", "timeout_seconds": 600.5,
		"max_timeouts": 1.0, "heartbeat_timeout_seconds": 30.0, "max_retries": 5.0, "unique_key": "k",
		"retry":       map[string]any{"max_attempts": 5.0, "initial_seconds": 10.0, "factor": 3.0, "max_seconds": 600.0, "jitter": 0.5},
		"labels":      map[string]any{"team": "print"},
		"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
	require.Equal(t, want, job)
	require.Equal(t, want, e.job(job["id"]))
	require.Equal(t, []any{want}, e.send("GET", "/v1/jobs", "").json(t)["jobs"])

	again := e.send("POST", "/v1/jobs", `{"type":"merge","channel":"acme","unique_key":"k","args":"others"}`)
	require.Equal(t, http.StatusOK, again.status, again.body)
	require.Equal(t, want, again.json(t), "the job that has the key")
	require.Equal(t, "/v1/jobs/"+job["id"].(string), again.header.Get("Location"))
	e.create(`{"type":"merge","channel":"other","unique_key":"k"}`)

	lease := e.lease(`{"types":["merge"],"channels":["acme"]}`)
	require.Equal(t, map[string]any{
		"token": lease["token"], "id": job["id"], "type": "merge", "channel": "acme", "args": map[string]any{"out": 1.0}, "attempt": 1.0,
		"canceled": false, "dependencies": []any{}, "heartbeat_timeout_seconds": 30.0, "heartbeat_in_seconds": 10.0, "timeout_seconds": 600.5,
		"labels": map[string]any{"team": "print"}, "traceparent": want["traceparent"],
	}, lease)
	require.Equal(t, lease, e.send("GET", "/v1/leases/"+lease["token"].(string), "").json(t))
	require.JSONEq(t, `{"canceled":false,"heartbeat_timeout_seconds":30,"heartbeat_in_seconds":10}`, e.on(lease, "heartbeat", "").body)
}

// A scheduled job waits for its time.
func TestScheduledJobs(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	for _, when := range []string{`"run_at":"2999-01-01T00:00:00Z"`, `"delay_seconds":3600`} {
		job := e.create(`{"type":"t",` + when + `}`)
		require.Equal(t, "scheduled", job["state"])
		at, err := time.Parse(time.RFC3339, job["run_at"].(string))
		require.NoError(t, err)
		require.Greater(t, time.Until(at), 59*time.Minute)
		require.Equal(t, job, e.job(job["id"]))
		require.Equal(t, http.StatusNoContent, e.send("POST", "/v1/dequeue", `{"types":["t"]}`).status)
	}
	expired := e.create(`{"type":"t","expires_at":"2020-01-01T00:00:00Z"}`)
	require.Equal(t, "failed", expired["state"])
	require.Equal(t, map[string]any{"reason": "expired"}, expired["error"])
	require.Equal(t, expired, e.job(expired["id"]))
}
