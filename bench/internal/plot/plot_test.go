package plot_test

import (
	"encoding/xml"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/bench/internal/plot"
)

// picture is what tests look at.
type picture struct {
	Texts []struct {
		Class string  `xml:"class,attr"`
		X     float64 `xml:"x,attr"`
		Y     float64 `xml:"y,attr"`
		Text  string  `xml:",chardata"`
	} `xml:"text"`
	Rects []struct {
		Class string  `xml:"class,attr"`
		Width float64 `xml:"width,attr"`
	} `xml:"rect"`
	Paths []struct {
		D string `xml:"d,attr"`
	} `xml:"path"`
}

func read(t *testing.T, svg string) picture {
	t.Helper()
	var p picture
	require.NoError(t, xml.Unmarshal([]byte(svg), &p), svg)
	return p
}

func TestBarsAreAsLongAsTheirValues(t *testing.T) {
	t.Parallel()
	p := read(t, plot.Bars{Title: "a < b", Unit: "/s", Bars: []plot.Bar{
		{Label: "longshore", Note: "on disk", Value: plot.Value{Median: 50, Least: 40, Most: 60}, Text: "50.0"},
		{Label: "other", Value: plot.Value{Median: 100, Least: 100, Most: 100}, Text: "100"},
	}}.SVG())
	require.Len(t, p.Rects, 2)
	require.InDelta(t, 2, p.Rects[1].Width/p.Rects[0].Width, 0.01)
	require.Equal(t, "ours", p.Rects[0].Class)
	require.Equal(t, "other", p.Rects[1].Class)
	require.Equal(t, "a < b", p.Texts[0].Text)
}

func TestNothingToDraw(t *testing.T) {
	t.Parallel()
	read(t, plot.Bars{Title: "nothing"}.SVG())
	read(t, plot.Lines{Title: "nothing", Text: func(float64) string { return "" }}.SVG())
}

// Labels of lines that end at the same place are still apart.
func TestLabelsDoNotOverlap(t *testing.T) {
	t.Parallel()
	l := plot.Lines{Title: "lines", X: "size", Y: "us", LogX: true, Text: func(v float64) string { return fmt.Sprint(v) }}
	for i := range 12 {
		l.Lines = append(l.Lines, plot.Line{Label: fmt.Sprint("line ", i), Points: []plot.Point{
			{X: 10, Value: plot.Value{Median: 5, Least: 5, Most: 5}},
			{X: 1000, Value: plot.Value{Median: 1, Least: 1, Most: 1}},
		}})
	}
	p := read(t, l.SVG())
	require.Len(t, p.Paths, 12)
	places := make(map[float64]string)
	for _, text := range p.Texts {
		if text.Class == "label" {
			require.Empty(t, places[text.Y], "two labels at one place")
			places[text.Y] = text.Text
		}
	}
	require.Len(t, places, 12)
}
