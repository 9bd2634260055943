package workload

import (
	"fmt"
	"math"
	"slices"

	"github.com/longshore-queue/longshore/bench/internal/report"
	"github.com/longshore-queue/longshore/bench/internal/stat"
)

// cost is what one size came to: the median over the rounds, the least and the most.
type cost struct {
	size                int
	median, least, most float64
}

// What a curve is called.
const (
	shapeFlat        = "Flat"
	shapeLogarithmic = "Logarithmic"
	shapeFalling     = "Falling"
	shapeNeither     = "Neither flat nor logarithmic"
	shapeUnknown     = "Cannot be told"
)

const (
	// leastNoise is how far, in parts of it, a median is off at least: starts of one server differ by as much, however
	// well the rounds of one size agree.
	leastNoise = 0.03
	// mostNoise is where nothing can be told any more.
	mostNoise = 0.25
	// sureness is how many times its noise something must be to be told from it.
	sureness = 2.0
)

// curve is how costs grow with sizes, which are in order.
type curve []cost

// judgement is what a curve is.
type judgement struct {
	shape string
	// apart is the size, in the middle, that was left out because it alone is off what the others agree on; 0 for none.
	apart int
	// noise is how far one round is from the next, by half of what lies between least and most, in parts of the median:
	// that of a size in the middle of all. 0: there was one round.
	noise float64
	// tenfold is how much is added for each tenfold of the size, by least squares, in parts of the mean; give or take unsure.
	tenfold, unsure float64
}

// judge looks at the whole curve: is it a straight line against the logarithm of the size, and does that rise? Each size
// counts the less the more its rounds differ. What grows with the size, or a root of it, or only from some size on, bends
// up against the logarithm. A curve that is no such line, but for one size that is neither the least nor the largest, is
// judged without that: what the ends do is never left out.
func (c curve) judge() judgement {
	all := c.judgeAll()
	if all.shape != shapeNeither {
		return all
	}
	for i := 1; i < len(c)-1; i++ {
		without := slices.Delete(slices.Clone(c), i, i+1).judgeAll()
		// A line of three points nearly always fits two of them.
		enough := without.shape == shapeFlat && len(c) > 3 || without.shape == shapeLogarithmic && len(c) > 4
		if enough {
			without.apart = c[i].size
			return without
		}
	}
	return all
}

func (c curve) judgeAll() judgement {
	x, y := c.points()
	middling, noise := c.noises()
	line := stat.FitLine(x, y, noise)
	j := judgement{noise: middling, tenfold: line.Slope / line.Level, unsure: sureness * line.SlopeError / line.Level}
	bend := stat.Bend(x, y, noise)
	straight := math.Abs(bend) <= sureness && fits(x, y, noise, line.At)
	level := fits(x, y, noise, func(float64) float64 { return line.Level })
	slopes := math.Abs(j.tenfold) > j.unsure
	switch {
	case middling > mostNoise:
		j.shape = shapeUnknown
	case straight && level && !slopes:
		j.shape = shapeFlat
	case straight && slopes && line.Slope > 0:
		j.shape = shapeLogarithmic
	case straight && slopes:
		j.shape = shapeFalling
	default:
		j.shape = shapeNeither
	}
	return j
}

// points returns the logarithms of the sizes, and the medians.
func (c curve) points() (x, y []float64) {
	for _, at := range c {
		x = append(x, math.Log10(float64(at.size)))
		y = append(y, at.median)
	}
	return x, y
}

// noises returns the noise in the middle of all, and how uncertain each median is: rounds of one size that happen to agree
// are as uncertain as the others.
func (c curve) noises() (middling float64, noise []float64) {
	parts := make([]float64, len(c))
	for i, at := range c {
		parts[i] = (at.most - at.least) / 2 / at.median
	}
	middling = stat.Median(parts)
	for i, at := range c {
		noise = append(noise, at.median*max(leastNoise, middling, parts[i]))
	}
	return middling, noise
}

// fits tells whether all points are where a curve is, as far as can be told.
func fits(x, y, noise []float64, of func(float64) float64) bool {
	for i := range x {
		if math.Abs(y[i]-of(x[i])) > sureness*noise[i] {
			return false
		}
	}
	return true
}

// describe says in a sentence or two what a curve of a dimension is.
func (c curve) describe(d dimension) string {
	first, last := c[0], c[len(c)-1]
	least, most := first.median, first.median
	for _, at := range c {
		least, most = min(least, at.median), max(most, at.median)
	}
	j := c.judge()
	text := fmt.Sprintf("%s: %s takes %s us of the server's processors with %s %s, and %s us with %s (%.2f times as much; between %s and %s in all).",
		j.shape, d.job, report.Number(first.median), report.Size(float64(first.size)), d.of,
		report.Number(last.median), report.Size(float64(last.size)), last.median/first.median,
		report.Number(least), report.Number(most))
	for _, at := range c {
		if at.size == j.apart {
			text += fmt.Sprintf(" Left out is %s us with %s, which alone is off the others.", report.Number(at.median), report.Size(float64(at.size)))
		}
	}
	if j.shape != shapeNeither && j.shape != shapeUnknown {
		text += fmt.Sprintf(" By least squares it is %+.1f %% for each tenfold, give or take %.1f.", 100*j.tenfold, 100*j.unsure)
	}
	if j.noise == 0 {
		return text + " What rounds differ by is not known."
	}
	return text + fmt.Sprintf(" Rounds of one size differ by %.0f %% either way.", 100*j.noise)
}
