package workload

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTenfold(t *testing.T) {
	t.Parallel()
	require.Equal(t, []int{1000, 10_000, 100_000, 1_000_000}, tenfold(1000, 1_000_000))
	require.Equal(t, []int{100, 1000, 10_000, 15_000}, tenfold(100, 15_000))
	require.Equal(t, []int{20}, tenfold(100, 20))
}

func TestShapeOfGrowth(t *testing.T) {
	t.Parallel()
	sizes := []int{1000, 10_000, 100_000, 1_000_000}
	require.Equal(t, "Flat", shapeOf(sizes, []float64{50, 60, 55, 52}))
	require.Equal(t, "Logarithmic", shapeOf(sizes, []float64{50, 60, 75, 90}))
	require.Equal(t, "Neither flat nor logarithmic", shapeOf(sizes, []float64{50, 60, 75, 900}))
	require.Contains(t, describeGrowth(dimension{name: "backlog", of: "pending jobs", job: "a full cycle", sizes: sizes}, []float64{50, 60, 55, 52}),
		"Flat: a full cycle takes 50.0 us of the server's processors with 1,000 pending jobs, and 52.0 us with 1,000,000 (1.04 times as much")
}
