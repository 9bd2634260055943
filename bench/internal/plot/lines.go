package plot

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Lines are values of several things over a size.
type Lines struct {
	Title string
	X, Y  string // what is on the axes
	LogX  bool   // every tenfold of x is as wide
	Text  func(float64) string
	Lines []Line
}

// Line is one of them.
type Line struct {
	Label  string
	Points []Point // in the order of X
}

// Point is one of a line.
type Point struct {
	X     float64
	Value Value
}

const (
	linesHeight = 400.0
	plotLeft    = 76.0
	plotRight   = width - 176 // labels of lines are to the right
	plotTop     = 58.0
	plotBottom  = linesHeight - 48
	gridLines   = 5
	labelPitch  = 15.0 // what labels of lines need between them
)

// colors are told apart on dark and light pages.
func colors() []string {
	return []string{
		"#2f81f7", "#e5534b", "#57ab5a", "#c69026", "#986ee2", "#39c5cf", "#e275ad", "#8b949e", "#b08800", "#6cb6ff", "#cc6b2c", "#7ee787", "#dcbdfb", "#adbac7",
	}
}

// scale is where values are on the page.
type scale struct {
	low, high, most float64 // of x, and the largest y
	logarithmic     bool
}

func (l Lines) scale() scale {
	s := scale{low: math.Inf(1), high: math.Inf(-1), logarithmic: l.LogX}
	for _, line := range l.Lines {
		for _, point := range line.Points {
			s.low, s.high = min(s.low, point.X), max(s.high, point.X)
			s.most = max(s.most, point.Value.Most)
		}
	}
	s.most = ceiling(s.most)
	return s
}

// ceiling is the next round number that is not less.
func ceiling(v float64) float64 {
	if v <= 0 {
		return 1
	}
	unit := math.Pow(10, math.Floor(math.Log10(v)))
	for _, step := range []float64{1, 1.5, 2, 3, 5, 7.5} {
		if v <= step*unit {
			return step * unit
		}
	}
	return 10 * unit
}

func (s scale) x(v float64) float64 {
	low, high := s.low, s.high
	if s.logarithmic {
		v, low, high = math.Log10(v), math.Log10(low), math.Log10(high)
	}
	if high <= low {
		return (plotLeft + plotRight) / 2
	}
	return plotLeft + (plotRight-plotLeft)*(v-low)/(high-low)
}

func (s scale) y(v float64) float64 { return plotBottom - (plotBottom-plotTop)*v/s.most }

// SVG draws them.
func (l Lines) SVG() string {
	s := l.scale()
	var p picture
	p.begin(l.Title, linesHeight)
	p.text("note", leftEdge, titleLine+18, "start", l.Y)
	for i := range gridLines + 1 {
		v := s.most * float64(i) / gridLines
		p.line("grid", plotLeft, s.y(v), plotRight, s.y(v))
		p.text("axis", plotLeft-8, s.y(v)+4, "end", l.Text(v))
	}
	for _, x := range l.sizes() {
		p.line("grid", s.x(x), plotTop, s.x(x), plotBottom)
		p.text("axis", s.x(x), plotBottom+18, "middle", l.Text(x))
	}
	p.text("axis", (plotLeft+plotRight)/2, plotBottom+38, "middle", l.X)
	labels := l.labels(s)
	for i, line := range l.Lines {
		color := colors()[i%len(colors())]
		var path strings.Builder
		step := 'M'
		for _, point := range line.Points {
			fmt.Fprintf(&path, "%c%.1f %.1f", step, s.x(point.X), s.y(point.Value.Median))
			step = 'L'
		}
		p.put(`<path class="line" stroke="%s" d="%s"/>`+"\n", color, path.String())
		for _, point := range line.Points {
			x := s.x(point.X)
			p.put(`<line stroke="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/><circle fill="%s" cx="%.1f" cy="%.1f" r="3"/>`+"\n",
				color, x, s.y(point.Value.Least), x, s.y(point.Value.Most), color, x, s.y(point.Value.Median))
		}
		p.put(`<rect fill="%s" x="%.1f" y="%.1f" width="9" height="9"/>`+"\n", color, plotRight+12, labels[i]-5)
		p.text("label", plotRight+26, labels[i]+4, "start", line.Label)
	}
	return p.end()
}

// sizes are those at which there are points.
func (l Lines) sizes() []float64 {
	var all []float64
	for _, line := range l.Lines {
		for _, point := range line.Points {
			all = append(all, point.X)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// labels are how high each line's label stands: where the line ends, if they all have room there.
func (l Lines) labels(s scale) []float64 {
	order := make([]int, len(l.Lines))
	at := make([]float64, len(l.Lines))
	for i, line := range l.Lines {
		order[i] = i
		at[i] = s.y(line.Points[len(line.Points)-1].Value.Median)
	}
	slices.SortFunc(order, func(a, b int) int { return int(math.Copysign(1, at[a]-at[b])) })
	// Down from the top, each below the one before; then up again from the bottom.
	for i := 1; i < len(order); i++ {
		at[order[i]] = max(at[order[i]], at[order[i-1]]+labelPitch)
	}
	limit := plotBottom + labelPitch
	for _, i := range slices.Backward(order) {
		at[i] = min(at[i], limit)
		limit = at[i] - labelPitch
	}
	return at
}
