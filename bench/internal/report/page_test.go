package report_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/bench/internal/report"
)

// written writes a page of two workloads, one of which compares systems and has a finding.
func written(t *testing.T) (page string, r *report.Run) {
	t.Helper()
	f := figures()
	f.Compare("one")
	f.Find(report.Finding{Workload: "one", Text: "It was like this."})
	f.Plot(report.Plot{File: "one", Title: "One", Y: "/s", Series: []report.Series{{Label: "ours", Points: []report.Point{
		{Of: report.Name{Workload: "one", System: "ours", Measure: "requests", Unit: "/s"}},
	}}}})
	r = new(report.Run)
	r.Take(f)
	page = filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, r.WriteDocs(page))
	return page, r
}

func TestRestateReadsWhatATableShows(t *testing.T) {
	t.Parallel()
	page, _ := written(t)
	before, err := os.ReadFile(page)
	require.NoError(t, err)
	said, err := report.Restate(page, func(title string, rows []report.Row) (string, bool) {
		if title != "One" {
			return "", false
		}
		require.Equal(t, []report.Row{
			{System: "ours", Figures: map[string]report.Shown{
				"requests, /s":   {Median: 800, Least: 90, Most: 12345}, // and a goal
				"part of theirs": {Median: 0.8, Least: 0.617, Most: 0.9},
			}},
			{System: "theirs", Figures: map[string]report.Shown{"requests, /s": {Median: 1000, Least: 100, Most: 20000}}},
		}, rows)
		return "It was like this.", true
	})
	require.NoError(t, err)
	require.Equal(t, 1, said)
	after, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Equal(t, string(before), string(after), "the same is said, and nothing else is touched")
}

func TestRestateReplacesWhatWasSaid(t *testing.T) {
	t.Parallel()
	page, _ := written(t)
	_, err := report.Restate(page, func(title string, _ []report.Row) (string, bool) { return "It is like that.", title == "One" })
	require.NoError(t, err)
	after, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(after), "## One\n\nIt is like that.\n\n![One](one.svg)")
	require.NotContains(t, string(after), "It was like this.")
}

func TestRestateRefusesWhatIsNoSuchPage(t *testing.T) {
	t.Parallel()
	page := filepath.Join(t.TempDir(), "page.md")
	say := func(string, []report.Row) (string, bool) { return "said", true }
	_, err := report.Restate(page, say)
	require.ErrorIs(t, err, os.ErrNotExist)
	for _, text := range []string{"# A\n\n## B\n\nOnly text.\n", "# A\n\n## B\n\n| a | b |\n|---|---|\n| c |\n"} {
		require.NoError(t, os.WriteFile(page, []byte(text), 0o600))
		_, err := report.Restate(page, say)
		require.Error(t, err, text)
		left, err := os.ReadFile(page)
		require.NoError(t, err)
		require.Equal(t, text, string(left))
	}
}

func TestShownIsRoundedAsTablesAre(t *testing.T) {
	t.Parallel()
	f := new(report.Figures)
	name := report.Name{Workload: "one", System: "ours", Measure: "cost", Unit: "us"}
	_, found := f.Shown(name)
	require.False(t, found)
	for _, v := range []float64{1234.56, 99.96, 12.345} {
		f.Add(name, v)
	}
	shown, found := f.Shown(name)
	require.True(t, found)
	require.Equal(t, report.Shown{Median: 100, Least: 12.3, Most: 1235}, shown)
}
