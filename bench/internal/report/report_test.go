package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/bench/internal/report"
)

func figures() *report.Figures {
	f := new(report.Figures)
	a := report.Name{Workload: "one", System: "ours", Measure: "requests", Unit: "/s"}
	b := report.Name{Workload: "one", System: "theirs", Measure: "requests", Unit: "/s"}
	ratio := report.Name{Workload: "one", System: "ours", Measure: "part of theirs"}
	for round, values := range [][2]float64{{800, 1000}, {90, 100}, {12345, 20000}} {
		f.Add(a, values[0])
		f.Add(report.Name{Workload: "two", System: "ours", Measure: "round"}, float64(round))
		f.Add(b, values[1])
	}
	f.Ratio(ratio, a, b)
	f.Ratio(report.Name{Measure: "of nothing"}, a, report.Name{})
	f.Aim(ratio, report.Goal{Limit: 0.8})
	f.Aim(a, report.Goal{Limit: 100, AtMost: true})
	f.Aim(report.Name{Measure: "of nothing"}, report.Goal{})
	return f
}

func TestTable(t *testing.T) {
	t.Parallel()
	var r report.Run
	r.Take(figures())
	var out bytes.Buffer
	require.NoError(t, r.WriteTable(&out))
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	require.Equal(t, []string{
		"ONE median least most goal",
		"ours requests, /s 800 90.0 12,345 <= 100: missed",
		"theirs requests, /s 1,000 100 20,000",
		"ours part of theirs 0.800 0.617 0.900 >= 0.800: met",
		"",
		"TWO median least most goal",
		"ours round 1.00 0.000 2.00",
		"",
	}, got)
}

func TestTableOfComparedSystems(t *testing.T) {
	t.Parallel()
	f := figures()
	f.Compare("one")
	f.Compare("one")
	f.Describe("ours", "on disk")
	var r report.Run
	r.Take(f)
	var out bytes.Buffer
	require.NoError(t, r.WriteTable(&out))
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	require.Equal(t, []string{
		"ONE acknowledged means requests, /s part of theirs",
		"ours on disk 800 (90.0-12,345) <= 100: missed 0.800 (0.617-0.900) >= 0.800: met",
		"theirs 1,000 (100-20,000)",
		"",
		"TWO median least most goal",
		"ours round 1.00 0.000 2.00",
		"",
	}, got)
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	f := figures()
	f.Compare("one")
	f.Describe("theirs", "in memory")
	var r report.Run
	r.Take(f)
	var out bytes.Buffer
	require.NoError(t, r.WriteMarkdown(&out, "one"))
	require.Equal(t, `|  | acknowledged means | requests, /s | part of theirs |
|---|---|---|---|
| ours |  | 800 (90.0-12,345) <= 100: missed | 0.800 (0.617-0.900) >= 0.800: met |
| theirs | in memory | 1,000 (100-20,000) |  |

`, out.String())
}

func TestPlotsLeaveOutWhatWasNotMeasured(t *testing.T) {
	t.Parallel()
	of := func(system string) []report.Point {
		return []report.Point{{At: 10, Of: report.Name{Workload: "one", System: system, Measure: "requests", Unit: "/s"}}}
	}
	series := []report.Series{{Label: "ours", Points: of("ours")}, {Label: "absent", Points: of("absent")}}
	var r report.Run
	r.Take(figures())
	for _, p := range []report.Plot{
		{Title: "bars", Y: "/s", Series: series},
		{Title: "lines", X: "callers", Y: "/s", LogX: true, Series: series},
	} {
		picture := r.Draw(p)
		require.NoError(t, xml.Unmarshal([]byte(picture), new(struct{})))
		require.Contains(t, picture, "ours")
		require.NotContains(t, picture, "absent")
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	r := report.Run{Settings: map[string]string{"repeat": "3"}}
	r.Take(figures())
	var out bytes.Buffer
	require.NoError(t, r.WriteJSON(&out))
	var back report.Run
	require.NoError(t, json.Unmarshal(out.Bytes(), &back))
	require.Equal(t, r, back)
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]float64{
		"1,234,567": 1234567.4, "-1,234": -1234, "100": 100, "99.9": 99.9, "1.50": 1.5, "0.012": 0.0123, "-100": -100,
	} {
		require.Equal(t, want, report.Number(v))
	}
}

func TestSummaryTellsThatNothingWasOnDisk(t *testing.T) {
	t.Parallel()
	require.NotContains(t, new(report.Run).Summary(), "in memory")
	require.Contains(t, (&report.Run{InMemory: true}).Summary(), "nothing was on disk")
}
