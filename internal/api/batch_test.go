package api_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

// batch creates jobs and returns the entries of the answer.
func (e *edge) batch(jobs ...string) []map[string]any {
	e.t.Helper()
	got := e.send("POST", "/v1/jobs/batch", `{"jobs":[`+strings.Join(jobs, ",")+`]}`)
	require.Equal(e.t, http.StatusCreated, got.status, got.body)
	var entries []map[string]any
	for _, entry := range got.json(e.t)["jobs"].([]any) {
		entries = append(entries, entry.(map[string]any))
	}
	require.Len(e.t, entries, len(jobs))
	return entries
}

// A graph of one call, of names in any order: what the dependencies made arrives by name and in
// the order given, with state, result or error.
func TestGraph(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	existing := e.create(`{"type":"old"}`)["id"].(string)
	e.on(e.lease(`{"types":["old"]}`), "finish", `{"result":0}`)
	jobs := e.batch(
		`{"type":"merge","dependencies":["`+existing+`"],"needs":["right",{"name":"left","if":"finished"},{"name":"n\u006fne"}]}`,
		`{"type":"part","name":"left"}`,
		`{"type":"part","name":"right"}`,
		`{"type":"part","name":"none"}`,
	)
	for i, name := range []any{nil, "left", "right", "none"} {
		require.Equal(t, name, jobs[i]["name"])
		require.NotContains(t, jobs[i], "existing")
	}
	require.Equal(t, "blocked", jobs[0]["state"])
	require.Equal(t, "pending", jobs[1]["state"])
	merge := e.job(jobs[0]["id"])
	require.Equal(t, []any{existing, jobs[2]["id"], jobs[1]["id"], jobs[3]["id"]}, merge["dependencies"])
	require.Equal(t, []any{jobs[0]["id"]}, e.job(jobs[1]["id"])["dependents"])

	for i, report := range [][2]string{{"fail", `{"error":{"reason":"broken"}}`}, {"finish", `{"result":[2]}`}, {"finish", ``}} {
		lease := e.lease(`{"types":["part"]}`)
		require.Equal(t, jobs[i+1]["id"], lease["id"], "in the order given")
		require.Equal(t, http.StatusOK, e.on(lease, report[0], report[1]).status)
	}
	require.Equal(t, []any{
		map[string]any{"id": existing, "type": "old", "state": "finished", "result": 0.0},
		map[string]any{"id": jobs[2]["id"], "name": "right", "type": "part", "state": "finished", "result": []any{2.0}},
		map[string]any{"id": jobs[1]["id"], "name": "left", "type": "part", "state": "failed", "error": map[string]any{"reason": "broken"}},
		map[string]any{"id": jobs[3]["id"], "name": "none", "type": "part", "state": "finished", "result": nil},
	}, e.lease(`{"types":["merge"]}`)["dependencies"])
}

// The condition of an edge goes before that of the job, in both directions.
func TestConditionsOfNeeds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ runIf, need, state string }{
		{`all_succeeded`, `"a"`, "failed"},
		{`all_succeeded`, `{"name":"a","if":"succeeded"}`, "failed"},
		{`all_succeeded`, `{"name":"a","if":"finished"}`, "pending"},
		{`all_finished`, `"a"`, "pending"},
		{`all_finished`, `{"name":"a","if":"finished"}`, "pending"},
		{`all_finished`, `{"name":"a","if":"succeeded"}`, "failed"},
	} {
		e := newEngineEdge(t, api.Options{})
		jobs := e.batch(`{"type":"first","name":"a"}`, `{"type":"second","needs":[`+c.need+`],"run_if":"`+c.runIf+`"}`)
		e.on(e.lease(`{"types":["first"]}`), "fail", `{"error":{"reason":"broken"}}`)
		require.Equal(t, c.state, e.job(jobs[1]["id"])["state"], "%+v", c)
	}
}

// What is wrong with a batch names the job and the field, and nothing of it is created.
func TestBadBatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, body, field, says string }{
		{"no body", ``, "", "required"},
		{"no jobs", `{}`, "jobs", "required"},
		{"no job", `{"jobs":[]}`, "jobs", "at least one"},
		{"null", `{"jobs":null}`, "jobs", "array"},
		{"an object", `{"jobs":{}}`, "jobs", "array"},
		{"unknown field", `{"jobs":[{"type":"t"}],"name":"x"}`, "name", "known"},
		{"a job that is none", `{"jobs":[{"type":"t"},"t"]}`, "jobs[1]", "object"},
		{"a job that is null", `{"jobs":[null]}`, "jobs[0]", "object"},
		{"a job without type", `{"jobs":[{"type":"t"},{}]}`, "jobs[1].type", "required"},
		{"unknown field of a job", `{"jobs":[{"type":"t","priorty":1}]}`, "jobs[0].priorty", "known"},
		{"name twice", `{"jobs":[{"type":"t","name":"a"},{"type":"t"},{"type":"t","name":"a"}]}`, "jobs[2].name", `"a" is the name of jobs[0]`},
		{"need of nobody", `{"jobs":[{"type":"t","name":"a"},{"type":"t","needs":["a","b"]}]}`, "jobs[1].needs[1]", `"b"`},
		{"need twice", `{"jobs":[{"type":"t","name":"a"},{"type":"t","needs":["a",{"name":"a","if":"finished"}]}]}`, "jobs[1].needs[1]", "twice"},
		{"cycle", `{"jobs":[{"type":"t","name":"a","needs":["c"]},{"type":"t","name":"b","needs":["a"]},{"type":"t","name":"c","needs":["b"]}]}`, "", "a needs c needs b needs a"},
		{"too many", `{"jobs":[{"type":"t"}` + strings.Repeat(`,{"type":"t"}`, 10_000) + `]}`, "jobs", "10000"},
		{"too many needs in all", `{"jobs":[{"type":"t"` + strings.Repeat(`,"needs":["a"]},{"type":"t"`, 1) + strings.Repeat(`,"needs":["a"`+strings.Repeat(`,"a"`, 9_999)+`]},{"type":"t"`, 20) + `}]}`, "jobs", "200000"},
		{"far too many needs in all", `{"jobs":[{"type":"t"` + strings.Repeat(`,"needs":["a"`+strings.Repeat(`,"a"`, 9_999)+`]},{"type":"t"`, 100) + `}]}`, "jobs", "200000"},
		{"far too many", `{"jobs":[{}` + strings.Repeat(`,{}`, 100_000) + `]}`, "jobs[0].type", "required"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			store := newStore(t)
			e := newEdge(t, store, api.Options{})
			got := e.send("POST", "/v1/jobs/batch", c.body)
			require.Equal(t, http.StatusBadRequest, got.status, got.body)
			if c.name == "cycle" { // which of its jobs is named is not promised
				require.Regexp(t, `^jobs\[[0-2]\]\.needs\[0\]$`, got.json(t)["field"])
			} else {
				e.problem(got, 400, "invalid-request", c.field)
			}
			require.Contains(t, got.json(t)["detail"], c.says)
			require.LessOrEqual(t, len(got.body), 1000)
			requireNoJob(t, store, "t")
			require.Empty(t, e.send("GET", "/v1/jobs", "").json(t)["jobs"])
		})
	}
}

func TestMissingDependencyOfABatchIsNamed(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	e := newEdge(t, store, api.Options{})
	known, unknown := e.create(`{"type":"other"}`)["id"].(string), uuid.NewString()
	got := e.send("POST", "/v1/jobs/batch", `{"jobs":[{"type":"t"},{"type":"t","dependencies":["`+known+`","`+unknown+`"]}]}`)
	e.problem(got, 422, "dependency-not-found", "jobs[1].dependencies[1]")
	require.Contains(t, got.json(t)["detail"], unknown)
	requireNoJob(t, store, "t")
	require.Empty(t, e.job(known)["dependents"])
}

// As many jobs as there may be, all of which need the one before.
func TestLargestBatch(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	jobs := make([]string, 10_000)
	for i := range jobs {
		jobs[i] = fmt.Sprintf(`{"type":"t","name":"n%d","needs":["n%d"]}`, i, i+1)
	}
	jobs[len(jobs)-1] = `{"type":"t","name":"n9999"}`
	entries := e.batch(jobs...)
	require.Equal(t, "blocked", entries[0]["state"])
	require.Equal(t, "pending", entries[9999]["state"])
	require.Equal(t, []any{entries[1]["id"]}, e.job(entries[0]["id"])["dependencies"])
}

// A unique key that is taken is answered with the job that has it, whose place it takes.
func TestUniqueKeysOfABatch(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	there := e.create(`{"type":"t","unique_key":"k"}`)["id"]
	jobs := e.batch(
		`{"type":"t","unique_key":"k","name":"a"}`,
		`{"type":"t","unique_key":"l","name":"b"}`,
		`{"type":"u","needs":["a","b"]}`,
	)
	require.Equal(t, map[string]any{"id": there, "name": "a", "state": "pending", "existing": true}, jobs[0])
	require.NotContains(t, jobs[1], "existing")
	require.Equal(t, []any{there, jobs[1]["id"]}, e.job(jobs[2]["id"])["dependencies"])

	twice := e.batch(`{"type":"v","unique_key":"k"}`, `{"type":"v","unique_key":"k","name":"a"}`, `{"type":"w","unique_key":"k"}`)
	require.NotContains(t, twice[0], "existing")
	require.Equal(t, map[string]any{"id": twice[0]["id"], "name": "a", "state": "pending", "existing": true}, twice[1])
	require.NotContains(t, twice[2], "existing", "of another type")
}

// Args are the queue's own, byte for byte, however long the body is: the next request does not
// touch them, and what is appended to one does not touch another.
func TestArgsOfABatchAreKept(t *testing.T) {
	t.Parallel()
	for _, size := range []int{10, 300, 30_000, 200_000} {
		var kept []queue.NewJob
		q := &stub{enqueue: func(_ context.Context, jobs []queue.NewJob) ([]queue.Enqueued, error) {
			kept = append(kept, jobs...)
			return slices.Repeat(enqueued(queue.Status{State: queue.Pending}), len(jobs)), nil
		}}
		e := newEdge(t, q, api.Options{})
		var want []string
		for round := range 3 {
			var jobs []string
			for i := range 7 {
				args := fmt.Sprintf(`{ "n" : 1%d%d.00e+1 ,"s":"\u0000\ud83d\/%s" }`, round, i, strings.Repeat("é", size/2))
				want = append(want, args)
				jobs = append(jobs, `{"args": `+args+` ,"type":"t"}`)
			}
			e.batch(jobs...)
		}
		require.Len(t, kept, len(want))
		for i := range kept {
			require.Equal(t, want[i], string(kept[i].Args))
			kept[i].Args = append(slices.Clip(kept[i].Args), 'x')
		}
	}
}
