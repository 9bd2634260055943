package stat_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/bench/internal/stat"
)

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100 - i)
	}
	for _, test := range []struct {
		name   string
		values []time.Duration
		p      float64
		want   float64
	}{
		{"median of a hundred", hundred, 50, 50},
		{"p99 of a hundred", hundred, 99, 99},
		{"p99.9 of a hundred is the most", hundred, 99.9, 100},
		{"p0 is the least", hundred, 0, 1},
		{"p100 is the most", hundred, 100, 100},
		{"one value is every percentile", []time.Duration{7}, 99, 7},
		{"median of three", []time.Duration{3, 1, 2}, 50, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, test.want, stat.Percentile(test.values, test.p))
		})
	}
	require.Equal(t, time.Duration(100), hundred[0], "the values keep their order")
	require.True(t, math.IsNaN(stat.Percentile[float64](nil, 50)))
}

func TestMedian(t *testing.T) {
	t.Parallel()
	require.Equal(t, 2.0, stat.Median([]float64{3, 1, 2}))
	require.Equal(t, 2.5, stat.Median([]float64{4, 1, 2, 3}))
	require.True(t, math.IsNaN(stat.Median(nil)))
}

func TestRatios(t *testing.T) {
	t.Parallel()
	require.Equal(t, []float64{2, 0.5}, stat.Ratios([]float64{4, 1}, []float64{2, 2}))
}
