package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

func allFinished(n int) []client.Job {
	jobs := make([]client.Job, n)
	for i := range jobs {
		jobs[i].State = client.Finished
	}
	return jobs
}

func TestTableIsReadFromTheMergedResult(t *testing.T) {
	t.Parallel()
	got, err := parseTable(json.RawMessage(`"12\t40\ta.go\n3\t9\tb\\0040c.go\n15\t49\ttotal\n"`))
	require.NoError(t, err)
	require.Equal(t, table{
		rows: []row{
			{name: "a.go", counts: counts{lines: 12, words: 40}},
			{name: `b\0040c.go`, counts: counts{lines: 3, words: 9}},
		},
		total: counts{lines: 15, words: 49},
	}, got)

	for _, bad := range []string{`null`, `{}`, `""`, `"1\t2\ta.go\n"`, `"1\t2\n"`, `"x\t2\ttotal\n"`, `"1\tx\ttotal\n"`} {
		_, err := parseTable(json.RawMessage(bad))
		require.Errorf(t, err, "parseTable(%s)", bad)
	}
}

func TestTableIsPrintedWithItsLongestFilesAndTotals(t *testing.T) {
	t.Parallel()
	var merged table
	for i := range shown + 2 {
		merged.rows = append(merged.rows, row{name: fmt.Sprintf("f%d", i), counts: counts{lines: 1, words: 2}})
		merged.total = merged.total.plus(counts{lines: 1, words: 2})
	}
	var out strings.Builder
	merged.print(func(format string, args ...any) {
		fmt.Fprintf(&out, format+"\n", args...)
	}, func(name string) string { return name + "\n" })
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	require.Len(t, lines, shown+3)
	require.Equal(t, `        1         2  "f0\n"`, lines[1])
	require.Equal(t, "      ...       ...  and 2 more", lines[shown+1])
	require.Equal(t, "       12        24  in 12 files", lines[shown+2])
}

func TestCompareComplainsOfEveryDifference(t *testing.T) {
	t.Parallel()
	sources := []source{{path: "a", name: "a"}, {path: "b", name: "b"}}
	said := map[string]counts{"a": {lines: 1, words: 2}, "b": {lines: 3, words: 4}}
	agreed := func() table {
		return table{
			rows:  []row{{name: "b", counts: said["b"]}, {name: "a", counts: said["a"]}},
			total: counts{lines: 4, words: 6},
		}
	}
	require.Empty(t, compare(agreed(), said, sources, allFinished(2)))

	for name, spoil := range map[string]func(*table, []client.Job){
		"a wrong count":       func(m *table, _ []client.Job) { m.rows[0].lines++; m.total.lines++ },
		"a wrong total":       func(m *table, _ []client.Job) { m.total.words-- },
		"a missing row":       func(m *table, _ []client.Job) { m.rows = m.rows[1:]; m.total = said["a"] },
		"a row twice":         func(m *table, _ []client.Job) { m.rows = append(m.rows, row{name: "a"}) },
		"a row of nobody's":   func(m *table, _ []client.Job) { m.rows = append(m.rows, row{name: "c"}) },
		"a job that failed":   func(_ *table, jobs []client.Job) { jobs[0].State = client.Failed },
		"a job that is still": func(_ *table, jobs []client.Job) { jobs[1].State = client.Pending },
	} {
		merged, jobs := agreed(), allFinished(2)
		spoil(&merged, jobs)
		require.NotEmptyf(t, compare(merged, said, sources, jobs), "complaints about %s", name)
	}

	delete(said, "a") // wc cannot read it
	merged := table{rows: []row{{name: "b", counts: said["b"]}}, total: said["b"]}
	jobs := allFinished(2)
	require.NotEmpty(t, compare(merged, said, sources, jobs), "a job finished whose file is not readable")
	jobs[0].State = client.Failed
	require.Empty(t, compare(merged, said, sources, jobs))
}

func TestListeningAddressIsFoundInTheLog(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`{"address":"127.0.0.1:4711","level":"info","msg":"listening","time":"x"}`: "127.0.0.1:4711",
		`{"address":"127.0.0.1:4711","msg":"Listening"}`:                           "127.0.0.1:4711",
		`{"level":"info","msg":"opened the store"}`:                                "",
		`listening on 127.0.0.1:4711`:                                              "",
		``:                                                                         "",
	} {
		require.Equalf(t, want, listeningAddress([]byte(line)), "in %s", line)
	}
}

func TestEachStopsAtTheFirstError(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	require.NoError(t, each(t.Context(), 1000, func(context.Context, int) error { calls.Add(1); return nil }))
	require.EqualValues(t, 1000, calls.Load())
	require.NoError(t, each(t.Context(), 0, func(context.Context, int) error { return errors.New("called") }))

	broken := errors.New("broken")
	err := each(t.Context(), 1000, func(_ context.Context, i int) error {
		if i == 3 {
			return broken
		}
		return nil
	})
	require.ErrorIs(t, err, broken)
}
