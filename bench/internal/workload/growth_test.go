package workload

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/bench/internal/report"
)

func TestTenfold(t *testing.T) {
	t.Parallel()
	require.Equal(t, []int{1000, 10_000, 100_000, 1_000_000}, tenfold(1000, 1_000_000))
	require.Equal(t, []int{100, 1000, 10_000, 15_000}, tenfold(100, 15_000))
	require.Equal(t, []int{20}, tenfold(100, 20))
}

// within makes a curve whose rounds differ by so many parts of the median either way.
func within(noise float64, medians ...float64) curve {
	c := make(curve, len(medians))
	for i, m := range medians {
		c[i] = cost{int(math.Pow10(i + 2)), m, m * (1 - noise), m * (1 + noise)}
	}
	return c
}

// curveOf makes one without noise, of so many sizes.
func curveOf(sizes int, of func(size float64) float64) curve {
	medians := make([]float64, sizes)
	for i := range medians {
		medians[i] = of(math.Pow10(i + 2))
	}
	return within(0, medians...)
}

func TestShapeOfTheWholeCurve(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		curve curve
		want  string
	}{
		"flat":                             {within(0.02, 50, 50.5, 49.5, 50), shapeFlat},
		"flat, noisy":                      {within(0.1, 50, 60, 55, 52), shapeFlat},
		"flat, noisy, larger at the end":   {within(0.12, 100, 92, 108, 95, 112), shapeFlat},
		"flat, one round":                  {within(0, 50, 51, 49, 50), shapeFlat},
		"two sizes":                        {within(0.02, 50, 51), shapeFlat},
		"logarithmic":                      {within(0.03, 50, 60, 75, 90), shapeLogarithmic},
		"logarithmic, little":              {within(0, 100, 104, 108, 112, 116), shapeLogarithmic},
		"logarithmic, noisy":               {within(0.1, 100, 160, 190, 260, 290), shapeLogarithmic},
		"logarithmic, much":                {curveOf(6, math.Log10), shapeLogarithmic},
		"falling":                          {within(0.02, 100, 90, 80, 70), shapeFalling},
		"a first size that is dear":        {within(0.02, 150, 100, 100, 100, 100), shapeNeither},
		"linear":                           {curveOf(5, func(n float64) float64 { return 100 + n/10_000 }), shapeNeither},
		"linear, with nothing beside":      {curveOf(5, func(n float64) float64 { return n }), shapeNeither},
		"linear, seen at the end only":     {curveOf(5, func(n float64) float64 { return 100 + n/40_000 }), shapeNeither},
		"square root":                      {curveOf(5, func(n float64) float64 { return 50 + math.Sqrt(n) }), shapeNeither},
		"square root, little":              {curveOf(5, func(n float64) float64 { return 100 + math.Sqrt(n)/20 }), shapeNeither},
		"hump, and the same at both ends":  {within(0.02, 100, 140, 160, 140, 100), shapeNeither},
		"hump between four sizes":          {within(0.02, 100, 150, 150, 100), shapeNeither},
		"rise in the last third":           {within(0.02, 100, 101, 99, 100, 120, 140), shapeNeither},
		"rise of the last size of three":   {within(0.02, 100, 100, 130), shapeNeither},
		"rise of the last size of five":    {within(0.05, 100, 102, 98, 100, 140), shapeNeither},
		"ends that agree, middle unsteady": {within(0.02, 100, 130, 80, 125, 100), shapeNeither},
		"so noisy that it could be any":    {within(0.4, 100, 90, 120, 100), shapeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := tt.curve.judge()
			require.Equal(t, tt.want, got.shape, "%+v", got)
			require.Zero(t, got.apart, "%+v", got)
		})
	}
}

func TestOneSizeThatIsOffIsLeftOutAndSaid(t *testing.T) {
	t.Parallel()
	d := dimension{name: "backlog", of: "pending jobs", job: "a full cycle"}
	flat := within(0.02, 100, 101, 160, 100, 99)
	require.Equal(t, shapeFlat, flat.judge().shape)
	require.Contains(t, flat.describe(d), "Flat: ")
	require.Contains(t, flat.describe(d), "Left out is 160 us with 10,000, which alone is off the others.")

	rising := within(0.02, 100, 110, 120, 180, 140, 150)
	require.Equal(t, shapeLogarithmic, rising.judge().shape)
	require.Equal(t, 100_000, rising.judge().apart)

	// A line that slopes by chance does not excuse the one that is off.
	unsteady := curve{{10, 261, 253, 294}, {100, 305, 273, 312}, {1000, 245, 236, 254}, {10_000, 262, 260, 274}}
	require.Equal(t, shapeFlat, unsteady.judge().shape)
	require.Equal(t, 100, unsteady.judge().apart)

	// What is off at an end may go on beyond it, and of three sizes nobody knows which one is off.
	for _, c := range []curve{within(0.02, 100, 100, 100, 160), within(0.02, 160, 100, 100, 100), within(0.02, 100, 160, 100)} {
		require.Equal(t, shapeNeither, c.judge().shape, "%v", c)
		require.NotContains(t, c.describe(d), "Left out")
	}
}

// A size whose rounds disagree says little, and does not make the others say less.
func TestSizeWhoseRoundsDisagreeCountsLess(t *testing.T) {
	t.Parallel()
	c := within(0.03, 100, 101, 99, 100, 140)
	require.Equal(t, shapeNeither, c.judge().shape)
	c[4].least, c[4].most = 95, 190
	require.Equal(t, shapeFlat, c.judge().shape)
}

func TestGrowthIsDescribedWithItsNoise(t *testing.T) {
	t.Parallel()
	d := dimension{name: "backlog", of: "pending jobs", job: "a full cycle"}
	require.Equal(t, "Flat: a full cycle takes 50.0 us of the server's processors with 100 pending jobs, and 52.0 us with 100,000"+
		" (1.04 times as much; between 50.0 and 60.0 in all). By least squares it is +0.6 % for each tenfold, give or take 8.6."+
		" Rounds of one size differ by 10 % either way.", within(0.1, 50, 60, 55, 52).describe(d))
	require.Contains(t, within(0, 50, 51, 52).describe(d), "What rounds differ by is not known.")
	require.NotContains(t, within(0.4, 50, 51, 52).describe(d), "least squares", "a line that says nothing")
}

// The sentences of the page are those that this package makes of the figures below them.
func TestPageOfGrowthSaysWhatItsFiguresSay(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile("../../../docs/performance/growth.md")
	require.NoError(t, err)
	page := filepath.Join(t.TempDir(), "growth.md")
	require.NoError(t, os.WriteFile(page, want, 0o600))
	said, err := report.Restate(page, SayGrowth)
	require.NoError(t, err)
	require.Equal(t, len(new(Bench).dimensions()), said)
	got, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "longshore-bench restate --docs docs/performance/growth.md says it again")
}
