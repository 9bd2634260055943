package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

// Every answer that is one job has its tag, which changes with what is shown of it.
func TestETags(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	created := e.send("POST", "/v1/jobs", `{"type":"t","unique_key":"k"}`)
	tag := created.header.Get("ETag")
	require.Regexp(t, `^"[0-9]+"$`, tag)
	path := "/v1/jobs/" + created.json(t)["id"].(string)
	tags := []string{tag}
	same := func(got answer) {
		t.Helper()
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Equal(t, tags[len(tags)-1], got.header.Get("ETag"))
	}
	changed := func(got answer) {
		t.Helper()
		require.Less(t, got.status, 300, got.body)
		tag := e.send("GET", path, "").header.Get("ETag")
		require.NotContains(t, tags, tag)
		tags = append(tags, tag)
		if strings.HasPrefix(got.body, `{"args"`) && got.header.Get("ETag") != "" {
			same(got)
		}
	}
	same(e.send("GET", path, ""))
	same(e.send("GET", path+"?wait_seconds=0.001", ""))
	same(e.send("POST", "/v1/jobs", `{"type":"t","unique_key":"k"}`))
	same(e.send("PATCH", path, `{}`))
	changed(e.send("PATCH", path, `{"priority":1}`))
	changed(e.send("PATCH", path, `{"labels":{"a":"b"}}`))
	leased := e.send("POST", "/v1/dequeue", `{"types":["t"]}`)
	require.Empty(t, leased.header.Get("ETag"))
	changed(leased)
	lease := leased.json(t)
	e.on(lease, "heartbeat", "")
	same(e.send("GET", path, ""))
	changed(e.on(lease, "heartbeat", `{"progress":{"percent":1}}`))
	changed(e.on(lease, "release", ""))
	changed(e.send("POST", path+"/cancel", ""))
	same(e.send("POST", path+"/cancel", ""))
	changed(e.send("POST", path+"/retry", ""))

	head := e.with("HEAD", path, "")
	require.Equal(t, tags[len(tags)-1], head.header.Get("ETag"))
}

func TestBadUpdates(t *testing.T) {
	t.Parallel()
	path := "/v1/jobs/" + uuid.NewString()
	for _, c := range []struct{ name, body, field string }{
		{"no body", ``, ""},
		{"null", `null`, ""},
		{"array", `[]`, ""},
		{"unknown field", `{"state":"pending"}`, "state"},
		{"a field of a new job", `{"priority":1,"delay_seconds":1}`, "delay_seconds"},
		{"priority too high", `{"priority":101}`, "priority"},
		{"priority is null", `{"priority":null}`, "priority"},
		{"priority is a fraction", `{"priority":1.0}`, "priority"},
		{"run_at is a number", `{"run_at":0}`, "run_at"},
		{"run_at is null", `{"run_at":null}`, "run_at"},
		{"run_at at the zero of Go", `{"run_at":"0001-01-01T00:00:00Z"}`, "run_at"},
		{"run_at before 1970", `{"run_at":"1969-01-01T00:00:00Z"}`, "run_at"},
		{"run_at after 9999 when rounded", `{"run_at":"9999-12-31T23:59:59.9999999Z"}`, "run_at"},
		{"labels is null", `{"labels":null}`, "labels"},
		{"label is a number", `{"labels":{"a":1}}`, "labels.a"},
		{"label with a bad name", `{"labels":{"-":""}}`, "labels"},
		{"too many labels", `{"labels":{` + members(33) + `}}`, "labels"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, &stub{}, api.Options{})
			e.problem(e.send("PATCH", path, c.body), 400, "invalid-request", c.field)
		})
	}
}

// What is given is changed, and nothing else.
func TestUpdates(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	job := e.create(`{"type":"t","priority":1,"labels":{"a":"1"},"expires_at":"2999-01-01T00:00:00Z"}`)
	path := "/v1/jobs/" + job["id"].(string)
	for _, c := range []struct {
		body    string
		members map[string]any
	}{
		{`{}`, nil},
		{`{"priority":-100}`, map[string]any{"priority": -100.0}},
		{`{"run_at":"2998-01-01T01:00:00+01:00"}`, map[string]any{"run_at": "2998-01-01T00:00:00Z", "state": "scheduled"}},
		{`{"labels":{"b":"2","c":""}}`, map[string]any{"labels": map[string]any{"b": "2", "c": ""}}},
		{`{"run_at":"1971-01-01T00:00:00Z","priority":0}`, map[string]any{"run_at": "1971-01-01T00:00:00Z", "state": "pending", "priority": 0.0}},
		{`{"labels":{}}`, map[string]any{"labels": nil}},
	} {
		for name, value := range c.members {
			job[name] = value
			if value == nil {
				delete(job, name)
			}
		}
		got := e.send("PATCH", path, c.body)
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Equal(t, job, got.json(t), c.body)
		require.Equal(t, job, e.job(job["id"]), c.body)
	}
	e.problem(e.send("PATCH", path, `{"run_at":"2999-01-01T00:00:00Z"}`), 400, "invalid-request", "run_at")
	require.Equal(t, job, e.job(job["id"]))

	blocked := e.create(`{"type":"u","dependencies":["` + job["id"].(string) + `"]}`)
	require.Equal(t, http.StatusOK, e.send("PATCH", "/v1/jobs/"+blocked["id"].(string), `{"priority":3}`).status)
	e.lease(`{"types":["t"]}`)
	for _, body := range []string{`{"priority":5}`, `{"labels":{}}`, `{}`} {
		e.problem(e.send("PATCH", path, body), 409, "job-not-pending", "")
	}
	for _, body := range []string{`{"priority":5}`, `{}`} {
		e.problem(e.send("PATCH", "/v1/jobs/"+uuid.NewString(), body), 404, "job-not-found", "")
	}
}

// The order in line is that of the priority at the time.
func TestUpdateOfThePriority(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	var ids []any
	for range 3 {
		ids = append(ids, e.create(`{"type":"t"}`)["id"])
	}
	require.Equal(t, http.StatusOK, e.send("PATCH", "/v1/jobs/"+ids[2].(string), `{"priority":1}`).status)
	for _, i := range []int{2, 0, 1} {
		require.Equal(t, ids[i], e.lease(`{"types":["t"]}`)["id"])
	}
}

// If-Match is read as RFC 9110, section 13.1.1, has it.
func TestIfMatch(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"priority":7}`, `{}`} {
		e := newEngineEdge(t, api.Options{})
		// The tag of the job is kept by giving each case a job of its own.
		fresh := func() (path, tag string) {
			got := e.send("POST", "/v1/jobs", `{"type":"t"}`)
			return "/v1/jobs/" + got.json(t)["id"].(string), got.header.Get("ETag")
		}
		for _, c := range []struct {
			name   string
			header func(tag string) []string
			status int
		}{
			{"the tag", func(tag string) []string { return []string{tag} }, 200},
			{"any", func(string) []string { return []string{"*"} }, 200},
			{"any with space", func(string) []string { return []string{" * "} }, 200},
			{"a list", func(tag string) []string { return []string{`"x", ` + tag + `,"99999"`} }, 200},
			{"a list with nothing in it", func(tag string) []string { return []string{`, "x",, ` + tag + " \t,"} }, 200},
			{"several lines", func(tag string) []string { return []string{`"98"`, tag} }, 200},
			{"a weak one and the tag", func(tag string) []string { return []string{"W/" + tag + "," + tag} }, 200},
			{"another tag", func(string) []string { return []string{`"99999"`} }, 412},
			{"a tag of words, with a comma", func(tag string) []string { return []string{`"a,` + strings.Trim(tag, `"`) + `"`} }, 412},
			{"an empty tag", func(string) []string { return []string{`""`} }, 412},
			{"a weak one", func(tag string) []string { return []string{"W/" + tag} }, 412},
			{"zeros before it", func(tag string) []string { return []string{`"0` + tag[1:]} }, 412},
			{"a plus before it", func(tag string) []string { return []string{`"+` + tag[1:]} }, 412},
			{"beyond 64 bits", func(string) []string { return []string{`"18446744073709551617"`} }, 412},
			{"a list of others", func(string) []string { return []string{`"99998","99999"`} }, 412},
			{"empty", func(string) []string { return []string{""} }, 400},
			{"commas", func(string) []string { return []string{" , ,"} }, 400},
			{"no quotes", func(tag string) []string { return []string{strings.Trim(tag, `"`)} }, 400},
			{"one quote", func(tag string) []string { return []string{tag[:len(tag)-1]} }, 400},
			{"weak in small letters", func(tag string) []string { return []string{"w/" + tag} }, 400},
			{"a space inside", func(string) []string { return []string{`"a b"`} }, 400},
			{"no comma", func(tag string) []string { return []string{tag + tag} }, 400},
			{"any and the tag", func(tag string) []string { return []string{"*, " + tag} }, 400},
		} {
			path, tag := fresh()
			var header []string
			for _, line := range c.header(tag) {
				header = append(header, "If-Match", line)
			}
			got := e.with("PATCH", path, body, header...)
			switch c.status {
			case http.StatusOK:
				require.Equal(t, http.StatusOK, got.status, "%s: %s", c.name, got.body)
			case http.StatusPreconditionFailed:
				e.problem(got, c.status, "job-changed", "")
			default:
				e.problem(got, c.status, "invalid-request", "If-Match")
			}
			if c.status != http.StatusOK {
				require.Equal(t, tag, e.send("GET", path, "").header.Get("ETag"), "nothing was done")
			}
		}
		missing := "/v1/jobs/" + uuid.NewString()
		for _, tag := range []string{"*", `"1"`, `W/"1"`, `"1","2"`} {
			e.problem(e.with("PATCH", missing, body, "If-Match", tag), 404, "job-not-found", "")
		}
		path, tag := fresh()
		e.lease(`{"types":["t"]}`)
		for e.job(path[len("/v1/jobs/"):])["state"] == "pending" {
			e.lease(`{"types":["t"]}`)
		}
		e.problem(e.with("PATCH", path, body, "If-Match", tag), 412, "job-changed", "")
		e.problem(e.with("PATCH", path, body, "If-Match", "*"), 409, "job-not-pending", "")
		require.Equal(t, http.StatusOK, e.with("GET", path, "", "If-Match", "nonsense").status, "it is of PATCH only")
	}
}

// A list of tags is held against the job as it is, however it moves meanwhile.
func TestIfMatchWhileTheJobMoves(t *testing.T) {
	t.Parallel()
	id := uuid.New()
	version, asked := uint64(1), []uint64{}
	q := &stub{
		status: func(context.Context, uuid.UUID) (queue.Status, error) {
			return queue.Status{ID: id, Type: "t", Channel: "c", State: queue.Pending, Version: version}, nil
		},
		job: func(context.Context, uuid.UUID) (queue.Job, error) {
			return queue.Job{ID: id, Type: "t", Channel: "c"}, nil
		},
		update: func(_ context.Context, _ uuid.UUID, u queue.Update) error {
			asked = append(asked, *u.IfVersion)
			if version < 3 {
				version++
				return queue.ErrChanged
			}
			return nil
		},
	}
	e := newEdge(t, q, api.Options{})
	require.Equal(t, http.StatusOK, e.with("PATCH", "/v1/jobs/"+id.String(), `{"priority":1}`, "If-Match", `"1","2","3"`).status)
	require.Equal(t, []uint64{1, 2, 3}, asked)
	version, asked = 1, nil
	e.problem(e.with("PATCH", "/v1/jobs/"+id.String(), `{"priority":1}`, "If-Match", `"1","3"`), 412, "job-changed", "")
	require.Equal(t, []uint64{1}, asked)
}

// An operator's retry begins a new generation, of the dependents too.
func TestRetry(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	jobs := e.batch(`{"type":"t","name":"a","unique_key":"k","max_retries":1}`, `{"type":"u","needs":["a"]}`)
	id := jobs[0]["id"].(string)
	path := "/v1/jobs/" + id + "/retry"
	e.problem(e.send("POST", path, ""), 409, "job-not-failed", "")
	require.Equal(t, http.StatusOK, e.on(e.lease(`{"types":["t"]}`), "fail", `{"error":{"reason":"broken"}}`).status)
	dependent := e.job(jobs[1]["id"])
	require.Equal(t, "failed", dependent["state"])
	require.Equal(t, map[string]any{"reason": "dependency-failed", "details": map[string]any{"dependency": id}}, dependent["error"])
	e.problem(e.send("POST", "/v1/jobs/"+jobs[1]["id"].(string)+"/retry", "{}"), 409, "dependency-not-succeeded", "")

	other := e.create(`{"type":"t","unique_key":"k"}`)["id"].(string)
	e.problem(e.send("POST", path, ""), 409, "unique-key-taken", "")
	require.Equal(t, http.StatusOK, e.send("POST", "/v1/jobs/"+other+"/cancel", "").status)

	got := e.send("POST", path, `{}`)
	require.Equal(t, http.StatusOK, got.status, got.body)
	job := got.json(t)
	require.Equal(t, "pending", job["state"])
	require.Equal(t, 1.0, job["generation"])
	require.Equal(t, 0.0, job["failures"])
	require.Equal(t, 1.0, job["attempt"])
	require.NotContains(t, job, "error")
	require.NotContains(t, job, "finished_at")
	require.Equal(t, "blocked", e.job(jobs[1]["id"])["state"])
	e.problem(e.send("POST", path, ""), 409, "job-not-failed", "")
	require.Equal(t, http.StatusOK, e.on(e.lease(`{"types":["t"]}`), "finish", "").status)
	require.Equal(t, http.StatusOK, e.on(e.lease(`{"types":["u"]}`), "finish", "").status)
	e.problem(e.send("POST", "/v1/jobs/"+uuid.NewString()+"/retry", ""), 404, "job-not-found", "")
	e.problem(e.send("POST", path, `{"now":true}`), 400, "invalid-request", "now")
}
