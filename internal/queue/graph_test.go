package queue_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// graphOf makes jobs from lines such as "c: a b": the name, and what it needs.
func graphOf(lines ...string) []queue.NewJob {
	jobs := make([]queue.NewJob, len(lines))
	for i, line := range lines {
		name, needs, _ := strings.Cut(line, ":")
		jobs[i] = queue.NewJob{Type: "work", Name: name}
		for need := range strings.FieldsSeq(needs) {
			jobs[i].Needs = append(jobs[i].Needs, queue.Need{Name: need})
		}
	}
	return jobs
}

func TestGraphsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		jobs  []queue.NewJob
		job   int
		field string
		names []string // what the reason must name
	}{
		"an unknown name":               {graphOf("a", "b: a c"), 1, "needs[1]", []string{`"c"`}},
		"a need without a name":         {[]queue.NewJob{{Type: "work"}, {Type: "work", Needs: []queue.Need{{}}}}, 1, "needs[0]", []string{`""`}},
		"a name that stands twice":      {graphOf("a", "b", "", "", "a"), 4, "name", []string{`"a"`, "jobs[0]"}},
		"a need that stands twice":      {graphOf("a", "b: a a"), 1, "needs[1]", []string{`"a"`}},
		"itself":                        {graphOf("a", "b: a b"), 1, "needs[1]", []string{"b needs b"}},
		"each other":                    {graphOf("a: b", "b: a"), 1, "needs[0]", []string{"a needs b needs a"}},
		"a cycle beside what is sound":  {graphOf("x", "a: x c", "y: x", "b: a", "c: y b"), 3, "needs[0]", []string{"a needs c needs b needs a"}},
		"a cycle that is not the start": {graphOf("a: b", "b: c", "c: b"), 2, "needs[0]", []string{"cycle: b needs c needs b"}},
		"a job that breaks a limit":     {[]queue.NewJob{{Type: "work"}, {Type: "?"}}, 1, "type", nil},
		"a name that is none":           {graphOf("a", "-b"), 1, "name", nil},
		"too many jobs":                 {make([]queue.NewJob, queue.MaxJobs+1), 0, "jobs", []string{"10001", "10000"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := queue.NewGraph(tc.jobs)
			var invalid *queue.InvalidError
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, tc.job, invalid.Job, "%v", err)
			require.Equal(t, tc.field, invalid.Field, "%v", err)
			for _, name := range tc.names {
				require.Contains(t, invalid.Reason, name)
			}
		})
	}
}

func TestALongCycleIsDescribedShortly(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", queue.MaxNameLength-8)
	jobs := make([]queue.NewJob, queue.MaxJobs)
	name := func(i int) string { return fmt.Sprintf("%s%d", long, i%len(jobs)) }
	for i := range jobs {
		jobs[i] = queue.NewJob{Type: "work", Name: name(i), Needs: []queue.Need{{Name: name(i + 1)}}}
	}
	_, err := queue.NewGraph(jobs)
	require.Error(t, err)
	require.Less(t, len(err.Error()), 9*queue.MaxNameLength)
	require.Contains(t, err.Error(), name(0)+" needs "+name(1))
	require.Contains(t, err.Error(), "...")
	require.True(t, strings.HasSuffix(err.Error(), name(0)))
}

func TestACycleOfAnyLengthNamesItsEnds(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 12; n++ {
		jobs := make([]queue.NewJob, n)
		for i := range jobs {
			jobs[i] = queue.NewJob{Type: "work", Name: fmt.Sprint("j", i), Needs: []queue.Need{{Name: fmt.Sprint("j", (i+1)%n)}}}
		}
		_, err := queue.NewGraph(jobs)
		require.Error(t, err)
		_, cycle, _ := strings.Cut(err.Error(), "cycle: ")
		named := strings.Split(cycle, " needs ")
		require.Equal(t, "j0", named[0])
		require.Equal(t, "j0", named[len(named)-1])
		require.Len(t, named, min(n+1, 8))
		require.Equal(t, n >= 8, slices.Contains(named, "..."))
	}
}

func TestOrderOfSmallGraphs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		jobs   []queue.NewJob
		want   []int
		needed []bool
	}{
		{nil, []int{}, []bool{}},
		{graphOf("", "", ""), []int{0, 1, 2}, []bool{false, false, false}},
		{graphOf("a", "b: a", "c: b a", "d"), []int{0, 1, 2, 3}, []bool{true, true, false, false}},
		{graphOf("a: c", "b", "c"), []int{2, 0, 1}, []bool{false, false, true}},
		{graphOf("a: c b", "b: d", "c: d", "d"), []int{3, 2, 1, 0}, []bool{false, true, true, true}},
	} {
		g, err := queue.NewGraph(tc.jobs)
		require.NoError(t, err)
		require.Equal(t, tc.want, g.Order)
		require.Equal(t, tc.needed, g.Needed)
	}
}

func TestADeepChainNeedsNoDeepStack(t *testing.T) {
	t.Parallel()
	for name, need := range map[string]int{"needs the one before": -1, "needs the one after": 1} {
		jobs := make([]queue.NewJob, queue.MaxJobs)
		for i := range jobs {
			jobs[i] = queue.NewJob{Type: "work", Name: fmt.Sprint("j", i)}
			if other := i + need; other >= 0 && other < len(jobs) {
				jobs[i].Needs = []queue.Need{{Name: fmt.Sprint("j", other)}}
			}
		}
		g, err := queue.NewGraph(jobs)
		require.NoError(t, err)
		want := make([]int, len(jobs))
		for i := range want {
			want[i] = i
			if need > 0 {
				want[i] = len(jobs) - 1 - i
			}
		}
		require.Equal(t, want, g.Order, name)
	}
}

func TestOrderHasEachJobOnceAndAfterWhatItNeeds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 30).Draw(t, "jobs")
		// Whoever has a lower rank may be needed: any graph without a cycle can be drawn so.
		rank := rapid.Permutation(upTo(n)).Draw(t, "rank")
		jobs := make([]queue.NewJob, n)
		edges, inOrder := 0, true
		for i := range jobs {
			jobs[i] = queue.NewJob{Type: "work", Name: fmt.Sprint("j", i)}
			for other := range jobs {
				if rank[other] < rank[i] && rapid.IntRange(0, 4).Draw(t, "edge") == 0 {
					jobs[i].Needs = append(jobs[i].Needs, queue.Need{Name: fmt.Sprint("j", other)})
					edges++
					inOrder = inOrder && other < i
				}
			}
		}
		g, err := queue.NewGraph(jobs)
		require.NoError(t, err)
		require.ElementsMatch(t, upTo(n), g.Order)
		place := make([]int, n)
		for at, job := range g.Order {
			place[job] = at
		}
		ids := make([]uuid.UUID, n)
		for i := range ids {
			ids[i] = uuid.New()
		}
		for i := range jobs {
			for k, edge := range g.Edges(&jobs[i], i, ids) {
				need := slices.Index(ids, edge.ID)
				require.Equal(t, jobs[i].Needs[k].Name, jobs[need].Name)
				require.Less(t, place[need], place[i])
			}
		}
		if inOrder {
			require.True(t, slices.IsSorted(g.Order), "the order given, where that will do")
		}

		if edges == 0 {
			return
		}
		// One edge more, from the end of some path to its start, makes a cycle.
		from := rapid.SampledFrom(slices.Collect(withNeeds(jobs))).Draw(t, "from")
		to := jobs[from].Needs[0].Name
		last := slices.IndexFunc(jobs, func(j queue.NewJob) bool { return j.Name == to })
		jobs[last].Needs = append(jobs[last].Needs, queue.Need{Name: jobs[from].Name})
		_, err = queue.NewGraph(jobs)
		var invalid *queue.InvalidError
		require.ErrorAs(t, err, &invalid)
		require.Contains(t, invalid.Reason, "cycle")
	})
}

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// withNeeds yields the indexes of the jobs that need others.
func withNeeds(jobs []queue.NewJob) func(yield func(int) bool) {
	return func(yield func(int) bool) {
		for i := range jobs {
			if len(jobs[i].Needs) > 0 && !yield(i) {
				return
			}
		}
	}
}

// edgeGraph has 2,000 jobs and that many edges.
func edgeGraph(edges int) []queue.NewJob {
	jobs := make([]queue.NewJob, 2000)
	for i := range jobs {
		jobs[i] = queue.NewJob{Type: "work", Name: fmt.Sprint("j", i)}
	}
	per := edges / 1000 // at most 1,000
	for i := 1000; i < 2000; i++ {
		for k := range per {
			jobs[i].Needs = append(jobs[i].Needs, queue.Need{Name: jobs[(i*7+k)%1000].Name})
		}
	}
	return jobs
}

// A way that costs the square of the edges would not end.
func TestTheMostEdgesAreNoTroubleAndOneMoreIsRefused(t *testing.T) {
	t.Parallel()
	jobs := edgeGraph(queue.MaxEdges)
	g, err := queue.NewGraph(jobs)
	require.NoError(t, err)
	require.Equal(t, upTo(len(jobs)), g.Order)
	jobs[0].Dependencies = append(jobs[0].Dependencies, uuid.New())
	_, err = queue.NewGraph(jobs)
	var invalid *queue.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, "jobs", invalid.Field)
}

func BenchmarkNewGraph(b *testing.B) {
	for _, edges := range []int{10_000, 100_000} {
		jobs := edgeGraph(edges)
		b.Run(fmt.Sprint("edges=", edges), func(b *testing.B) {
			for b.Loop() {
				if _, err := queue.NewGraph(jobs); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(edges), "ns/edge")
		})
	}
}

func TestEdgesAreDependenciesThenNeeds(t *testing.T) {
	t.Parallel()
	jobs := graphOf("a", "b", "c: b a")
	jobs[2].Needs[1].If = queue.IfOver
	jobs[2].Dependencies = []uuid.UUID{depID}
	g, err := queue.NewGraph(jobs)
	require.NoError(t, err)
	ids := []uuid.UUID{uuid.New(), uuid.New(), uuid.New()}
	require.Nil(t, g.Edges(&jobs[0], 0, ids))
	for runIf, left := range map[queue.RunIf]queue.Condition{queue.AllSucceeded: queue.IfSucceeded, queue.AllFinished: queue.IfOver} {
		jobs[2].RunIf = runIf
		require.Equal(t, []queue.Edge{
			{ID: depID, If: left}, {ID: ids[1], Name: "b", If: left}, {ID: ids[0], Name: "a", If: queue.IfOver},
		}, g.Edges(&jobs[2], 2, ids))
	}
	jobs[2].RunIf, jobs[2].Needs[0].If = queue.AllFinished, queue.IfSucceeded
	require.Equal(t, queue.IfSucceeded, g.Edges(&jobs[2], 2, ids)[1].If, "what an edge says wins")
}

func TestAnInvalidErrorIsReadable(t *testing.T) {
	t.Parallel()
	_, err := queue.NewGraph(graphOf("a: a"))
	require.EqualError(t, err, "needs[0]: makes a cycle: a needs a")
	require.NotErrorIs(t, err, queue.ErrNotExist)
}
