package api_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

func TestBackups(t *testing.T) {
	t.Parallel()
	var (
		made   []string
		refuse error
	)
	e := newEdge(t, &stub{}, api.Options{Backup: func(_ context.Context, name string) (queue.Backup, error) {
		made = append(made, name)
		return queue.Backup{Name: name, Bytes: 7}, refuse
	}})
	got := e.send("POST", "/v1/admin/backup", `{"name":"before-upgrade.1"}`)
	require.Equal(t, http.StatusCreated, got.status)
	require.Equal(t, map[string]any{"name": "before-upgrade.1", "bytes": 7.0}, got.json(t))
	got = e.send("POST", "/v1/admin/backup", "")
	require.Regexp(t, `^2\d{7}T\d{6}\.\d{6}Z$`, got.json(t)["name"])
	require.Len(t, made, 2)
	for _, name := range []string{``, `.`, `..`, `../x`, `a/b`, `/etc`, `.hidden`, `a b`, `a\u0000`, `-x`, `ä`} {
		e.problem(e.send("POST", "/v1/admin/backup", `{"name":"`+name+`"}`), http.StatusBadRequest, "invalid-request", "name")
	}
	require.Len(t, made, 2)
	refuse = queue.ErrBackupExists
	e.problem(e.send("POST", "/v1/admin/backup", `{"name":"a"}`), http.StatusConflict, "backup-exists", "")
	refuse = queue.ErrBackupUnderWay
	e.problem(e.send("POST", "/v1/admin/backup", `{"name":"a"}`), http.StatusConflict, "backup-under-way", "")

	e = newEdge(t, &stub{}, api.Options{})
	e.problem(e.send("POST", "/v1/admin/backup", ""), http.StatusForbidden, "backups-disabled", "")
}
