package workload

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func names(list []Workload) []string {
	var found []string
	for _, w := range list {
		found = append(found, w.Name)
	}
	return found
}

func TestSelect(t *testing.T) {
	t.Parallel()
	chosen, err := Select(nil, Embedded)
	require.NoError(t, err)
	require.Equal(t, []string{"enqueue", "batch", "cycle", "batches", "wake", "graph", "backlog", "prune", "questions", "readers"}, names(chosen))

	chosen, err = Select(nil, Postgres)
	require.NoError(t, err)
	require.Equal(t, []string{"cycle", "batches", "wake", "backlog", "peers", "filled", "servers", "waiters", "hold"}, names(chosen))

	chosen, err = Select([]string{"peers", "graph"}, Postgres)
	require.NoError(t, err)
	require.Equal(t, []string{"graph", "peers"}, names(chosen), "in the order in which they run")

	_, err = Select([]string{"servers"}, Embedded)
	require.Error(t, err)
	_, err = Select([]string{"sleep"}, Embedded)
	require.ErrorContains(t, err, "waiters")
}

func TestNeedsPostgres(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		bench Bench
		names []string
		want  bool
	}{
		{Bench{Store: Embedded}, nil, false},
		{Bench{Store: Embedded}, []string{"peers"}, true},
		{Bench{Store: Embedded, Contenders: []string{"longshore", "disk"}}, []string{"peers"}, false},
		{Bench{Store: Embedded, Contenders: []string{"longshore", "river"}}, []string{"cycle"}, false},
		{Bench{Store: Postgres}, []string{"cycle"}, true},
	} {
		chosen, err := Select(test.names, test.bench.Store)
		require.NoError(t, err)
		require.Equal(t, test.want, test.bench.NeedsPostgres(chosen), "%v", test)
	}
}
