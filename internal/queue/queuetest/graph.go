package queuetest

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

var graphTests = map[string]func(*testing.T, *fixture){
	"jobs of one call need each other by name, in any order": func(t *testing.T, f *fixture) {
		enqueued, err := f.Queue().Enqueue(t.Context(), []queue.NewJob{
			{Name: "bottom", Type: "work", Needs: needs("left", "right")},
			{Name: "left", Type: "work", Needs: needs("top")},
			{Name: "right", Type: "work", Needs: needs("top")},
			{Name: "top", Type: "work"},
		})
		require.NoError(t, err)
		ids := idsOf(enqueued)
		bottom, left, right, top := ids[0], ids[1], ids[2], ids[3]
		for i, want := range []queue.State{queue.Blocked, queue.Blocked, queue.Blocked, queue.Pending} {
			require.Equal(t, want.String(), enqueued[i].State.String())
			status := f.status(t, ids[i])
			status.Dependents = enqueued[i].Dependents // which jobs of the same call may have become
			require.Equal(t, queue.Enqueued{Status: status}, enqueued[i])
		}
		require.Equal(t, []uuid.UUID{left, right}, f.status(t, bottom).Dependencies)
		require.Equal(t, []uuid.UUID{left, right}, f.status(t, top).Dependents)
		job, err := f.Queue().Job(t.Context(), bottom)
		require.NoError(t, err)
		require.Equal(t, []queue.Edge{
			{ID: left, Name: "left", If: queue.IfSucceeded}, {ID: right, Name: "right", If: queue.IfSucceeded},
		}, job.Dependencies)
		require.Equal(t, []uuid.UUID{top, left, right, bottom}, f.runToEnd(t, "work"))
	},
	"a worker is handed what became of them, by name and in the order given": func(t *testing.T, f *fixture) {
		old := f.enqueue1(t, "old")
		ids := f.enqueue(t,
			queue.NewJob{Name: "z", Type: "fine"}, queue.NewJob{Name: "a", Type: "broken"}, queue.NewJob{Name: "m", Type: "gone"},
			queue.NewJob{Type: "merge", RunIf: queue.AllFinished, Dependencies: []uuid.UUID{old}, Needs: needs("m", "z", "a")})
		f.finish(t, f.dequeue(t, "old").Token, `"old"`)
		f.finish(t, f.dequeue(t, "fine").Token, `"z"`)
		f.fail(t, f.dequeue(t, "broken").Token, "exit-code")
		f.cancel(t, ids[2])
		require.Equal(t, []queue.Dependency{
			{ID: old, Type: "old", State: queue.Finished, Result: args(`"old"`)},
			{ID: ids[2], Name: "m", Type: "gone", State: queue.Canceled},
			{ID: ids[0], Name: "z", Type: "fine", State: queue.Finished, Result: args(`"z"`)},
			{ID: ids[1], Name: "a", Type: "broken", State: queue.Failed, Error: &queue.JobError{Reason: "exit-code"}},
		}, f.dequeue(t, "merge").Dependencies)
	},
	"the place in line is that of the call, whoever needs whom": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t,
			queue.NewJob{Name: "a", Type: "work", Needs: needs("c")}, queue.NewJob{Type: "work"},
			queue.NewJob{Name: "c", Type: "work"}, queue.NewJob{Type: "work"})
		require.Equal(t, []uuid.UUID{ids[1], ids[2], ids[0], ids[3]}, f.runToEnd(t, "work"))
	},
	"a condition of an edge wins over the job's run_if": func(t *testing.T, f *fixture) {
		for _, tc := range []struct {
			runIf queue.RunIf
			need  queue.Condition
			want  [3]queue.State // when what it needs has finished, failed, was canceled
		}{
			{queue.AllSucceeded, queue.AsRunIf, [3]queue.State{queue.Pending, queue.Failed, queue.Canceled}},
			{queue.AllSucceeded, queue.IfSucceeded, [3]queue.State{queue.Pending, queue.Failed, queue.Canceled}},
			{queue.AllSucceeded, queue.IfOver, [3]queue.State{queue.Pending, queue.Pending, queue.Pending}},
			{queue.AllFinished, queue.AsRunIf, [3]queue.State{queue.Pending, queue.Pending, queue.Pending}},
			{queue.AllFinished, queue.IfSucceeded, [3]queue.State{queue.Pending, queue.Failed, queue.Canceled}},
			{queue.AllFinished, queue.IfOver, [3]queue.State{queue.Pending, queue.Pending, queue.Pending}},
		} {
			for i, want := range tc.want {
				ids := f.enqueue(t, queue.NewJob{Name: "a", Type: "first"},
					queue.NewJob{Type: "second", RunIf: tc.runIf, Needs: []queue.Need{{Name: "a", If: tc.need}}})
				switch i {
				case 0:
					f.finish(t, f.dequeue(t, "first").Token, `1`)
				case 1:
					f.fail(t, f.dequeue(t, "first").Token, "broken")
				default:
					f.cancel(t, ids[0])
				}
				require.Equal(t, want.String(), f.status(t, ids[1]).State.String(), "%s, %d, %d", tc.runIf, tc.need, i)
			}
		}
	},
	"edges of one job may differ": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, queue.NewJob{Name: "must", Type: "must"}, queue.NewJob{Name: "may", Type: "may"},
			queue.NewJob{Type: "work", Needs: []queue.Need{{Name: "must"}, {Name: "may", If: queue.IfOver}}})
		f.fail(t, f.dequeue(t, "may").Token, "broken")
		f.requireState(t, ids[2], queue.Blocked)
		f.finish(t, f.dequeue(t, "must").Token, `1`)
		f.requireState(t, ids[2], queue.Pending)
	},
	"what is refused adds nothing, and is named": func(t *testing.T, f *fixture) {
		known := f.enqueue1(t, "known")
		sound := queue.NewJob{Name: "sound", Type: "work", Dependencies: []uuid.UUID{known}}
		for name, tc := range map[string]struct {
			jobs  []queue.NewJob
			job   int
			field string
		}{
			"an unknown name":  {[]queue.NewJob{sound, {Type: "work", Needs: needs("sound", "who")}}, 1, "needs[1]"},
			"a duplicate name": {[]queue.NewJob{sound, {Type: "work"}, {Name: "sound", Type: "work"}}, 2, "name"},
			"a need repeated":  {[]queue.NewJob{sound, {Type: "work", Needs: needs("sound", "sound")}}, 1, "needs[1]"},
			"a job by itself":  {[]queue.NewJob{sound, {Name: "a", Type: "work", Needs: needs("sound", "a")}}, 1, "needs[1]"},
			"a cycle": {[]queue.NewJob{
				sound, {Name: "a", Type: "work", Needs: needs("b")}, {Name: "b", Type: "work", Needs: needs("a")},
			}, 2, "needs[0]"},
			"a bad condition": {[]queue.NewJob{sound, {Type: "work", Needs: []queue.Need{{Name: "sound", If: 9}}}}, 1, "needs[0].if"},
			"too many jobs":   {make([]queue.NewJob, queue.MaxJobs+1), 0, "jobs"},
		} {
			_, err := f.Queue().Enqueue(t.Context(), tc.jobs)
			var invalid *queue.InvalidError
			require.ErrorAs(t, err, &invalid, name)
			require.Equal(t, tc.job, invalid.Job, name)
			require.Equal(t, tc.field, invalid.Field, name)
		}
		_, err := f.Queue().Enqueue(t.Context(), []queue.NewJob{
			sound, {Type: "work", Dependencies: []uuid.UUID{known, uuid.New()}, Needs: needs("sound")},
		})
		var missing *queue.DependencyError
		require.ErrorAs(t, err, &missing)
		require.Equal(t, [2]int{1, 1}, [2]int{missing.Job, missing.Index})
		require.Empty(t, f.status(t, known).Dependents)
		f.requireNothingReady(t, "work")
	},
	"a job that is over at once decides about those of its call": func(t *testing.T, f *fixture) {
		dead := f.enqueue1(t, "dead")
		f.cancel(t, dead)
		ids := f.enqueue(t,
			queue.NewJob{Name: "third", Type: "work", Needs: []queue.Need{{Name: "second", If: queue.IfOver}}},
			queue.NewJob{Name: "second", Type: "work", Needs: needs("first")},
			queue.NewJob{Name: "first", Type: "work", Dependencies: []uuid.UUID{dead}})
		f.requireStates(t, ids[1:], queue.Canceled)
		require.Equal(t, ids[:1], f.runToEnd(t, "work"))
	},
	"a call of the most jobs there may be": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t, chain("work", queue.MaxJobs)...)
		f.fail(t, f.dequeue(t, "work").Token, "broken")
		for _, i := range []int{0, 1, queue.MaxJobs / 2, queue.MaxJobs - 1} {
			f.requireState(t, ids[i], queue.Failed)
		}
		f.requireNothingReady(t, "work")
	},
	"a job of the most needs there may be": func(t *testing.T, f *fixture) {
		jobs := make([]queue.NewJob, 2000)
		last := &jobs[len(jobs)-1]
		for i := range jobs[:len(jobs)-1] {
			jobs[i] = queue.NewJob{Name: fmt.Sprint("part-", i), Type: "part"}
			last.Needs = append(last.Needs, queue.Need{Name: jobs[i].Name})
		}
		last.Type = "merge"
		ids := f.enqueue(t, jobs...)
		require.Equal(t, ids[:len(ids)-1], f.runToEnd(t, "part"))
		l := f.dequeue(t, "merge")
		for i, d := range l.Dependencies {
			require.Equal(t, ids[i], d.ID)
			require.Equal(t, jobs[i].Name, d.Name)
		}
	},
	"a graph of many edges": func(t *testing.T, f *fixture) {
		const layers, width = 5, 40
		var jobs []queue.NewJob
		for layer := range layers {
			for i := range width {
				job := queue.NewJob{Name: fmt.Sprintf("%d-%d", layer, i), Type: "work"}
				for need := range width * min(layer, 1) {
					job.Needs = append(job.Needs, queue.Need{Name: fmt.Sprintf("%d-%d", layer-1, need)})
				}
				jobs = append(jobs, job)
			}
		}
		require.Equal(t, f.enqueue(t, jobs...), f.runToEnd(t, "work"))
		ids := f.enqueue(t, jobs...)
		f.fail(t, f.dequeue(t, "work").Token, "broken")
		f.requireStates(t, ids[width:], queue.Failed)
		require.Equal(t, ids[1:width], f.runToEnd(t, "work"))
	},
	"a deep chain is drained, and settled by what happens at its root": func(t *testing.T, f *fixture) {
		const deep = 2000
		require.Equal(t, f.enqueue(t, chain("work", deep)...), f.runToEnd(t, "work"))

		canceled := f.enqueue(t, chain("work", deep)...)
		f.cancel(t, canceled[0])
		f.requireStates(t, canceled, queue.Canceled)

		failed := f.enqueue(t, chain("work", deep)...)
		f.fail(t, f.dequeue(t, "work").Token, "broken")
		f.requireStates(t, failed, queue.Failed)
		f.requireCause(t, failed[deep-1], failed[deep-2])
	},
	"a graph is kept by a restart": func(t *testing.T, f *fixture) {
		ids := f.enqueue(t,
			queue.NewJob{Name: "a", Type: "work"}, queue.NewJob{Name: "b", Type: "work"},
			queue.NewJob{Type: "work", Needs: []queue.Need{{Name: "b", If: queue.IfOver}, {Name: "a"}}})
		f.Restart(t)
		f.finish(t, f.dequeue(t, "work").Token, `1`)
		f.fail(t, f.dequeue(t, "work").Token, "broken")
		f.Restart(t)
		require.Equal(t, []queue.Dependency{
			{ID: ids[1], Name: "b", Type: "work", State: queue.Failed, Error: &queue.JobError{Reason: "broken"}},
			{ID: ids[0], Name: "a", Type: "work", State: queue.Finished, Result: args(`1`)},
		}, f.dequeue(t, "work").Dependencies)
	},
}

func needs(names ...string) []queue.Need {
	all := make([]queue.Need, len(names))
	for i, name := range names {
		all[i].Name = name
	}
	return all
}

// chain makes n jobs of which each needs the one before it.
func chain(jobType string, n int) []queue.NewJob {
	jobs := make([]queue.NewJob, n)
	for i := range jobs {
		jobs[i] = queue.NewJob{Name: fmt.Sprint("link-", i), Type: jobType}
		if i > 0 {
			jobs[i].Needs = needs(jobs[i-1].Name)
		}
	}
	return jobs
}
