//go:build unix

package command_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/command"
)

func TestFilesThatKilledWorkersLeftAreSweptAndThoseInUseAreNot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := func() []string {
		names, err := filepath.Glob(filepath.Join(dir, "*"))
		require.NoError(t, err)
		return names
	}
	w := newWitness(t)
	r := begin(t, w, command.Options{TempDir: dir, KillGrace: -1}, `echo ready >&3; sleep 1000`)
	require.Equal(t, "ready\n", w.line())
	inUse := files()
	require.Len(t, inUse, 1)
	other := filepath.Join(dir, "longshore-dependencies.json")
	for _, name := range []string{filepath.Join(dir, "longshore-dependencies-1.json"), other} {
		require.NoError(t, os.WriteFile(name, []byte(`[]`), 0o600))
	}
	command.New(command.Options{TempDir: dir}).Sweep()
	require.ElementsMatch(t, []string{inUse[0], other}, files())
	r.end()
	require.Error(t, r.wait())
	require.Equal(t, []string{other}, files(), "a command's own file goes with it")
}
