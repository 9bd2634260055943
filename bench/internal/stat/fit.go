package stat

import "math"

// Line is a straight line by least squares, y at the mean of x and its slope.
type Line struct {
	Level, Slope float64
	// SlopeError is the standard error of the slope.
	SlopeError float64
	middle     float64
}

// At is where the line is.
func (l Line) At(x float64) float64 { return l.Level + l.Slope*(x-l.middle) }

// FitLine fits a line to points whose y is as uncertain as noise says, which must be more than 0. There must be two
// points at least, and not all at the same x.
func FitLine(x, y, noise []float64) Line {
	middle, level := weightedMean(x, noise), weightedMean(y, noise)
	var both, square float64
	for i := range x {
		weight := 1 / (noise[i] * noise[i])
		both += weight * (x[i] - middle) * (y[i] - level)
		square += weight * (x[i] - middle) * (x[i] - middle)
	}
	return Line{Level: level, Slope: both / square, SlopeError: 1 / math.Sqrt(square), middle: middle}
}

// Bend is how far points bend away from their Line: by how many of its standard errors the square of x is there in what
// a line leaves. More than 0: they rise faster the larger x is. It is 0 for two points.
func Bend(x, y, noise []float64) float64 {
	if len(x) < 3 {
		return 0
	}
	squares := make([]float64, len(x))
	for i := range x {
		squares[i] = x[i] * x[i]
	}
	ofY, ofSquares := FitLine(x, y, noise), FitLine(x, squares, noise)
	var both, square float64
	for i := range x {
		weight := 1 / (noise[i] * noise[i])
		left := squares[i] - ofSquares.At(x[i])
		both += weight * left * (y[i] - ofY.At(x[i]))
		square += weight * left * left
	}
	return both / math.Sqrt(square)
}

func weightedMean(values, noise []float64) float64 {
	var sum, weights float64
	for i, v := range values {
		weight := 1 / (noise[i] * noise[i])
		sum += weight * v
		weights += weight
	}
	return sum / weights
}
