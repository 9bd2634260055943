package app_test

import (
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAServerStartsOnABackup(t *testing.T) {
	t.Parallel()
	options := testOptions()
	options.Store = filepath.Join(t.TempDir(), "store")
	options.BackupDir = filepath.Join(t.TempDir(), "made", "backups")
	s := start(t, options)
	expect := func(want int, path, body string) map[string]any {
		t.Helper()
		status, answer := s.post(path, body)
		require.Equal(t, want, status, answer)
		return answer
	}
	job := expect(http.StatusCreated, "/v1/jobs", `{"type":"t"}`)
	expect(http.StatusCreated, "/v1/dequeue", `{"types":["t"]}`)
	expect(http.StatusCreated, "/v1/admin/backup", `{"name":"one"}`)
	expect(http.StatusConflict, "/v1/admin/backup", `{"name":"one"}`)
	require.NoError(t, s.stop())

	options.Store = filepath.Join(options.BackupDir, "one")
	s = start(t, options)
	lease := expect(http.StatusCreated, "/v1/dequeue", `{"types":["t"]}`)
	require.Equal(t, job["id"], lease["id"], "the lease that it had has ended")
}
