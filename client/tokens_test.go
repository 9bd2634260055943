//go:build unix

package client_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

func openTokens(t *testing.T, path string) *client.TokenDir {
	t.Helper()
	dir, err := client.OpenTokenDir(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = dir.Close() })
	return dir
}

func TestTokensOutliveTheProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a", "b")
	one, two := uuid.New(), uuid.New()
	dir := openTokens(t, path)
	require.NoError(t, dir.Keep(one))
	require.NoError(t, dir.Keep(two))
	require.NoError(t, dir.Keep(two))
	require.NoError(t, dir.Close())

	dir = openTokens(t, path)
	tokens, err := dir.Tokens()
	require.NoError(t, err)
	require.ElementsMatch(t, []uuid.UUID{one, two}, tokens)
	require.NoError(t, dir.Forget(one))
	require.NoError(t, dir.Forget(one), "again")
	tokens, err = dir.Tokens()
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{two}, tokens)
}

func TestTokensAreSecret(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state")
	token := uuid.New()
	require.NoError(t, openTokens(t, path).Keep(token))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	entries, err := os.ReadDir(path)
	require.NoError(t, err)
	for _, entry := range entries {
		info, err := entry.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), entry.Name())
		require.NotContains(t, entry.Name(), token.String()[:8])
	}
}

func TestTwoWorkersCannotShareATokenDirectory(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	dir := openTokens(t, path)
	_, err := client.OpenTokenDir(path)
	require.ErrorContains(t, err, "another worker")
	require.NoError(t, dir.Close())
	openTokens(t, path)
}

func TestWhatACrashLeftHalfDoneIsRemoved(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	dir := openTokens(t, path)
	token := uuid.New()
	require.NoError(t, dir.Keep(token))
	for name, content := range map[string]string{"new-123": "half", "0123.token": "", "4567.token": token.String(), "notes": "mine"} {
		require.NoError(t, os.WriteFile(filepath.Join(path, name), []byte(content), 0o600))
	}
	tokens, err := dir.Tokens()
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{token}, tokens)
	left, err := os.ReadDir(path)
	require.NoError(t, err)
	require.Len(t, left, 3, "the token, the lock, and what is not ours")
}

func TestATokenDirectoryThatCannotBeMadeIsAnError(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := client.OpenTokenDir(file)
	require.ErrorContains(t, err, "open token directory")
}
