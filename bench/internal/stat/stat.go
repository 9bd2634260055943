// Package stat is the little arithmetic that figures need. It decides nothing about what is
// measured.
package stat

import (
	"math"
	"slices"
)

// Percentile returns the smallest of the values that at least p per cent of them do not
// exceed; NaN if there are none.
func Percentile[T ~int64 | ~float64](values []T, p float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return float64(sorted[min(max(rank, 1), len(sorted))-1])
}

// Median returns the value in the middle, or the mean of the two there; NaN if there are none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Ratios divides each value of a by the one of b in its place: those of one round. They must
// be as many.
func Ratios(a, b []float64) []float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i] / b[i]
	}
	return ratios
}
