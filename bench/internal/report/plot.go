package report

import (
	"math"
	"strconv"

	"github.com/longshore-queue/longshore/bench/internal/plot"
)

// Plot is a picture of figures: bars, one for each series, or lines if there is an X.
type Plot struct {
	File   string   `json:"file"` // its name, without an ending
	Title  string   `json:"title"`
	X      string   `json:"x,omitempty"` // what is on the axes, with units
	Y      string   `json:"y"`
	LogX   bool     `json:"log_x,omitempty"`
	Series []Series `json:"series"`
}

// Series is a line, or a bar with a note on it.
type Series struct {
	Label  string  `json:"label"`
	Note   string  `json:"note,omitempty"`
	Points []Point `json:"points"`
}

// Point is where a figure is.
type Point struct {
	At float64 `json:"at,omitempty"`
	Of Name    `json:"of"`
}

// Draw makes the picture, as SVG. Of figures that there are not nothing is drawn.
func (r *Run) Draw(p Plot) string {
	find := &Figures{list: r.Figures}
	if p.X == "" {
		chart := plot.Bars{Title: p.Title, Unit: p.Y}
		for _, s := range p.Series {
			if f := find.find(s.Points[0].Of); f != nil {
				chart.Bars = append(chart.Bars, plot.Bar{Label: s.Label, Note: s.Note, Value: value(f), Text: Number(f.Median)})
			}
		}
		return chart.SVG()
	}
	chart := plot.Lines{Title: p.Title, X: p.X, Y: p.Y, LogX: p.LogX, Text: Size}
	for _, s := range p.Series {
		line := plot.Line{Label: s.Label}
		for _, point := range s.Points {
			if f := find.find(point.Of); f != nil {
				line.Points = append(line.Points, plot.Point{X: point.At, Value: value(f)})
			}
		}
		if len(line.Points) > 0 {
			chart.Lines = append(chart.Lines, line)
		}
	}
	return chart.SVG()
}

// Size writes a number for people that counts something: a whole one without a fraction.
func Size(v float64) string {
	if v == math.Trunc(v) {
		return group(strconv.FormatFloat(v, 'f', 0, 64))
	}
	return Number(v)
}

func value(f *Figure) plot.Value { return plot.Value{Median: f.Median, Least: f.Least, Most: f.Most} }
