package api_test

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
)

func TestDeleteJob(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	path := "/v1/jobs/" + e.create(`{"type":"resize"}`)["id"].(string)
	e.problem(e.send("DELETE", path, ""), http.StatusConflict, "job-not-over", "")
	require.Equal(t, http.StatusOK, e.send("GET", path, "").status)
	lease := e.send("POST", "/v1/dequeue", `{"types":["resize"]}`).json(t)
	e.problem(e.send("DELETE", path, ""), http.StatusConflict, "job-not-over", "")
	require.Equal(t, http.StatusOK, e.on(lease, "finish", `{"result":1}`).status)

	deleted := e.send("DELETE", path, "")
	require.Equal(t, http.StatusNoContent, deleted.status)
	require.Empty(t, deleted.body)
	for _, method := range []string{"GET", "DELETE"} {
		e.problem(e.send(method, path, ""), http.StatusNotFound, "job-not-found", "")
	}
	e.problem(e.on(lease, "finish", `{"result":1}`), http.StatusNotFound, "lease-not-found", "")
	require.NotContains(t, e.send("GET", "/v1/jobs", "").body, lease["id"])
	e.problem(e.send("DELETE", "/v1/jobs/"+uuid.NewString(), ""), http.StatusNotFound, "job-not-found", "")
	e.problem(e.send("DELETE", "/v1/jobs/7", ""), http.StatusBadRequest, "invalid-request", "id")
}

func TestARetriedJobIsToldThatItsDependencyWasDeleted(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	first := e.create(`{"type":"first"}`)["id"].(string)
	second := e.create(`{"type":"second","dependencies":["` + first + `"]}`)["id"].(string)
	lease := e.send("POST", "/v1/dequeue", `{"types":["first"]}`).json(t)
	require.Equal(t, http.StatusOK, e.on(lease, "finish", `{"result":1}`).status)
	require.Equal(t, http.StatusOK, e.send("POST", "/v1/jobs/"+second+"/cancel", "").status)
	require.Equal(t, http.StatusNoContent, e.send("DELETE", "/v1/jobs/"+first, "").status)
	require.Equal(t, http.StatusOK, e.send("POST", "/v1/jobs/"+second+"/retry", "").status)
	lease = e.send("POST", "/v1/dequeue", `{"types":["second"]}`).json(t)
	require.Equal(t, []any{map[string]any{"id": first, "type": "first", "state": "finished", "deleted": true}}, lease["dependencies"])
}
