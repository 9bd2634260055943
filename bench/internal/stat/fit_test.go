package stat_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/bench/internal/stat"
)

func TestLineThroughPointsOnALine(t *testing.T) {
	t.Parallel()
	line := stat.FitLine([]float64{1, 2, 4}, []float64{5, 7, 11}, []float64{1, 3, 2})
	require.InDelta(t, 2, line.Slope, 1e-9)
	require.InDelta(t, 3, line.At(0), 1e-9)
}

func TestLineHeedsNoisyPointsLess(t *testing.T) {
	t.Parallel()
	x, y := []float64{0, 1, 2, 3}, []float64{10, 10, 10, 20}
	require.InDelta(t, 3, stat.FitLine(x, y, []float64{1, 1, 1, 1}).Slope, 1e-9)
	require.Less(t, stat.FitLine(x, y, []float64{1, 1, 1, 10}).Slope, 0.1)
}

func TestSlopeErrorIsThatOfTheTextbook(t *testing.T) {
	t.Parallel()
	// With noise s at x = -1, 0, 1 it is s by the root of 2.
	require.InDelta(t, 1.41421356, stat.FitLine([]float64{-1, 0, 1}, []float64{1, 2, 3}, []float64{2, 2, 2}).SlopeError, 1e-6)
}

func TestBendTellsCurvesFromLines(t *testing.T) {
	t.Parallel()
	x, noise := []float64{0, 1, 2, 3, 4}, []float64{1, 1, 1, 1, 1}
	require.InDelta(t, 0, stat.Bend(x, []float64{1, 3, 5, 7, 9}, noise), 1e-9)
	require.Greater(t, stat.Bend(x, []float64{0, 1, 4, 9, 16}, noise), 3.0)
	require.Less(t, stat.Bend(x, []float64{0, 6, 8, 6, 0}, noise), -3.0)
	require.Zero(t, stat.Bend(x[:2], []float64{1, 9}, noise[:2]))
}
