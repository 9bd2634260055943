package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// stage is a cast whose servers are a shell script, which may use $0.args as a file.
func stage(t *testing.T, s settings, script string) *cast {
	t.Helper()
	s.server = filepath.Join(t.TempDir(), "server")
	require.NoError(t, os.WriteFile(s.server, []byte("#!/bin/sh\n"+script+"\n"), 0o700)) //nolint:gosec // to be run
	return &cast{settings: s, temp: t.TempDir(), fail: func(err error) { t.Error(err) }}
}

func TestAServerIsStartedAgainOnItsStoreAndPort(t *testing.T) {
	t.Parallel()
	c := stage(t, settings{store: storeDisk}, `echo "$*" >>"$0.args"
echo '{"msg":"listening","address":"127.0.0.1:4711"}'
exec sleep 60`)
	require.NoError(t, c.prepare())
	require.Len(t, c.servers, 1)
	for range 2 {
		require.NoError(t, c.startServer(t.Context(), c.servers[0]))
		c.servers[0].process.kill()
	}
	require.NoError(t, c.leave())
	require.Equal(t, "127.0.0.1:4711", c.servers[0].address)
	text, err := os.ReadFile(c.settings.server + ".args")
	require.NoError(t, err)
	started := strings.Split(strings.TrimSpace(string(text)), "\n")
	require.Len(t, started, 2)
	require.Contains(t, started[0], "--listen 127.0.0.1:0 ")
	require.Contains(t, started[1], "--listen 127.0.0.1:4711 ")
	for _, args := range started {
		require.Contains(t, args, "--store "+filepath.Join(c.temp, "store"))
	}
}

func TestAnAuditThatFindsSomethingIsAFailureThatSaysWhat(t *testing.T) {
	t.Parallel()
	const address = "postgres:///somewhere"
	c := stage(t, settings{}, `test "$*" = "audit --store `+address+`" && echo sound: 3 jobs`)
	c.database = &database{address: address}
	verdict, err := c.audit(t.Context())
	require.NoError(t, err)
	require.Equal(t, "sound: 3 jobs", verdict)

	c = stage(t, settings{}, "echo job 7 is in 2 states; echo 1 differences: 3 jobs; exit 1")
	c.database = &database{address: address}
	_, err = c.audit(t.Context())
	require.ErrorContains(t, err, "job 7 is in 2 states\n1 differences: 3 jobs")
	require.ErrorContains(t, err, "exit status 1")
}

func TestTwoServersShareADatabaseThatGoesWithThem(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it wants a PostgreSQL")
	}
	c := stage(t, settings{store: storePostgres, postgres: os.Getenv(binVariable)}, "")
	require.NoError(t, c.prepare())
	directory := c.database.cluster.Directory()
	require.DirExists(t, directory)
	require.Len(t, c.servers, 2)
	require.Equal(t, []string{"--store", c.database.address, "--migrate"}, c.store.args)
	require.NoError(t, c.leave())
	require.NoDirExists(t, filepath.Dir(directory))
}

func TestADirectoryWithoutPostgreSQLIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := openDatabase(dir)
	require.ErrorContains(t, err, fmt.Sprintf("%s has not all of postgres, initdb and pg_basebackup", dir))
}
