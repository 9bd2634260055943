package embedded

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Whatever happens between the steps of settlements and retries, of which many may be under way, and
// wherever a crash cuts them short: nothing is stuck at the end, and every index agrees with the jobs.
// queuetest's storm lets chance decide who is between whose steps; here it is drawn.
func TestNobodyIsStuckWhateverHappensBetweenSteps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		disk := vfs.NewCrashableMem()
		x := &interleaving{T: t, harness: newHarness(t, disk, "store", smallLimits())}
		x.crash = func() vfs.FS {
			disk = disk.CrashClone(vfs.CrashCloneCfg{})
			return disk
		}
		actions := make(map[string]func(*rapid.T))
		for name, act := range map[string]func(){
			"enqueue": x.enqueue, "enqueue a family": x.enqueueFamily, "dequeue": x.dequeue, "wait": x.wait, "finish": x.finish, "fail": x.fail, "requeue": x.requeue,
			"dequeue by id": x.dequeueByID, "update": x.update, "time goes by": x.advance, "cancel": x.cancel, "delete": x.delete, "prune": x.prune, "retry": x.retry, "crash": x.restart,
			"a step of a retry": x.stepOfRetry, "another step of a retry": x.stepOfRetry, "a step of a settlement": x.stepOfTelling,
		} {
			actions[name] = func(*rapid.T) { act() }
		}
		t.Repeat(actions)
		x.drain()
		x.Close(t)
	})
}

// interleaving is a store on which calls of many steps are under way, none of which has to go on before
// another one does.
type interleaving struct {
	*rapid.T
	*harness
	jobs     []uuid.UUID
	held     []uuid.UUID // tokens
	telling  [][]settlement
	retrying []*retry
}

// change makes one change, and leaves under way what follows from it.
func (x *interleaving) change(build func(*change) error) error {
	var pending []settlement
	_, err := x.store.commit(func(c *change) error {
		if err := build(c); err != nil {
			return err
		}
		return c.settleSome(nil, &pending)
	})
	if len(pending) > 0 {
		x.telling = append(x.telling, pending)
	}
	return err
}

// allow fails the test on an error that is none of those that were to be expected, and tells whether there
// was none at all.
func (x *interleaving) allow(err error, expected ...error) bool {
	if !slices.ContainsFunc(expected, func(is error) bool { return errors.Is(err, is) }) {
		require.NoError(x, err)
	}
	return err == nil
}

// draw draws one of some things, by its index: ids are others in each run.
func (x *interleaving) draw(what string, count int) int {
	return rapid.IntRange(0, count-1).Draw(x.T, what)
}

// aJob draws a job; false if there is none yet.
func (x *interleaving) aJob() (uuid.UUID, bool) {
	if len(x.jobs) == 0 {
		return uuid.Nil, false
	}
	return x.jobs[x.draw("job", len(x.jobs))], true
}

// drawnKinds are the kinds of jobs that are drawn. Somebody may wait for late ones only, so that they are
// handed over as soon as they are ready.
func drawnKinds() [2]queue.NewJob {
	return [...]queue.NewJob{{Type: "work"}, {Type: "late", RunIf: queue.AllFinished}}
}

func (x *interleaving) enqueue() {
	n := drawnKinds()[x.draw("run_if", 2)]
	switch x.draw("extra", 6) {
	case 0:
		n.UniqueKey = "k"
	case 1:
		n.Delay = time.Minute
	case 2:
		n.ExpiresAt = x.Now().Add(time.Minute)
	default:
	}
	newest := x.jobs[max(0, len(x.jobs)-8):]
	for range min(x.draw("dependencies", 4), len(newest)) {
		n.Dependencies = append(n.Dependencies, newest[x.draw("dependency", len(newest))])
	}
	for range []int{1, 1, 5}[x.draw("count", 3)] {
		enqueued, err := x.store.Enqueue(x.Context(), []queue.NewJob{n})
		if x.allow(err, queue.ErrNotExist) && !enqueued[0].Existing {
			x.jobs = append(x.jobs, enqueued[0].ID)
		}
	}
}

// enqueueFamily enqueues what one retry brings back in more than one step, if the root ends badly: a chain, each
// of which has dependents that run whatever becomes of it.
func (x *interleaving) enqueueFamily() {
	add := func(n queue.NewJob, dependencies ...uuid.UUID) uuid.UUID {
		n.Dependencies = dependencies
		enqueued, err := x.store.Enqueue(x.Context(), []queue.NewJob{n})
		require.NoError(x, err)
		x.jobs = append(x.jobs, enqueued[0].ID)
		return enqueued[0].ID
	}
	work, late := drawnKinds()[0], drawnKinds()[1]
	above := add(work)
	for range 1 + x.draw("generations", 3) {
		next := add(work, above)
		for range x.draw("beside", 4) {
			add(late, above)
		}
		above = next
	}
	add(late, above)
}

func (x *interleaving) dequeue() {
	ctx, cancel := context.WithCancel(x.Context())
	cancel()
	l, err := x.store.Dequeue(ctx, queue.DequeueRequest{Types: []string{"work", "late"}})
	if x.allow(err, queue.ErrDequeueTimeout) {
		x.hold(&l)
	}
}

func (x *interleaving) dequeueByID() {
	if id, found := x.aJob(); found {
		l, err := x.store.DequeueByID(x.Context(), id, queue.Holder{}, queue.Once{})
		if x.allow(err, queue.ErrNotPending, queue.ErrNotExist) {
			x.hold(&l)
		}
	}
}

// update has a job be first in line, or run in a minute.
func (x *interleaving) update() {
	if id, found := x.aJob(); found {
		update := queue.Update{Priority: new(x.draw("priority", 3))}
		if x.draw("later", 2) == 1 {
			update.RunAt = new(x.Now().Add(time.Minute))
		}
		var invalid *queue.InvalidError
		if err := x.store.UpdateJob(x.Context(), id, update); !errors.As(err, &invalid) {
			x.allow(err, queue.ErrNotPending, queue.ErrNotExist)
		}
	}
}

// advance lets a minute pass. What falls due is done, and told, at once.
func (x *interleaving) advance() { x.Advance(time.Minute) }

// wait has somebody wait for a late job while something happens.
func (x *interleaving) wait() {
	g, waiter, err := x.store.claimOrJoin(x.Context(), []queue.Lane{{Channel: queue.DefaultChannel, Type: "late"}}, new(claimant))
	if !x.allow(err, errManyPassedOver) {
		return
	}
	if waiter != nil {
		happens := []func(){x.enqueue, x.finish, x.fail, x.requeue, x.cancel, x.stepOfRetry, x.stepOfTelling}
		happens[x.draw("happens", len(happens))]()
		over, cancel := context.WithCancel(x.Context())
		cancel()
		var handed bool
		if g, handed = waiter.Wait(over, x.store.closing); !handed {
			return
		}
	}
	l, err := x.store.deliver(g)
	require.NoError(x, err)
	x.hold(l)
}

// hold keeps a lease, which is new, for later.
func (x *interleaving) hold(l *queue.Lease) {
	for i := range l.Dependencies {
		require.True(x, l.Dependencies[i].State.Over(), "a dependency is %s", l.Dependencies[i].State)
	}
	x.held = append(x.held, l.Token)
}

func (x *interleaving) finish() { x.end(endingBy(0, queue.Outcome{})) }

func (x *interleaving) fail() {
	x.end(x.store.endingByFailure(queue.Failure{Error: queue.JobError{Reason: "broken"}}))
}

func (x *interleaving) requeue() {
	x.end(endingBy(1, queue.Outcome{Error: &queue.JobError{Reason: queue.ReasonHeartbeatLost}}))
}

// end ends a lease in some way.
func (x *interleaving) end(how ending) {
	if len(x.held) == 0 {
		return
	}
	i := x.draw("lease", len(x.held))
	token := x.held[i]
	x.held = slices.Delete(x.held, i, i+1)
	x.allow(x.change(func(c *change) error {
		_, err := c.end(token, how)
		return err
	}), queue.ErrCanceled, queue.ErrNotExist)
}

func (x *interleaving) cancel() {
	if id, found := x.aJob(); found {
		x.allow(x.change(func(c *change) error {
			_, err := c.cancel(id)
			return err
		}), queue.ErrNotRunning, queue.ErrNotExist)
	}
}

func (x *interleaving) delete() {
	if id, found := x.aJob(); found {
		x.allow(x.store.DeleteJob(x.Context(), id), queue.ErrNotOver, queue.ErrNotExist)
	}
}

func (x *interleaving) prune() {
	_, err := x.store.Prune(x.Context(), x.clock.now().Add(time.Hour))
	require.NoError(x, err)
}

// retry begins a retry, without a step of it.
func (x *interleaving) retry() {
	var ended []uuid.UUID
	for _, id := range x.jobs {
		status, err := x.store.JobStatus(x.Context(), id)
		if x.allow(err, queue.ErrNotExist) && (status.State == queue.Failed || status.State == queue.Canceled) {
			ended = append(ended, id)
		}
	}
	if len(ended) == 0 {
		return
	}
	id := ended[x.draw("ended", len(ended))]
	var t *retry
	_, err := x.store.commit(func(c *change) (err error) {
		t, err = c.beginRetry(id)
		return err
	})
	if x.allow(err, queue.ErrNotFailed, queue.ErrNotExist, queue.ErrDependencyFailed, queue.ErrUniqueKeyTaken) {
		x.retrying = append(x.retrying, t)
	}
}

func (x *interleaving) stepOfRetry() {
	if len(x.retrying) == 0 {
		return
	}
	i := x.draw("retry", len(x.retrying))
	t := x.retrying[i]
	require.NoError(x, x.change(func(c *change) error { return c.retryStep(t) }))
	if len(t.left) == 0 {
		x.retrying = slices.Delete(x.retrying, i, i+1)
	}
}

func (x *interleaving) stepOfTelling() {
	if len(x.telling) == 0 {
		return
	}
	i := x.draw("settlement", len(x.telling))
	pending := x.telling[i]
	_, err := x.store.commit(func(c *change) error { return c.settleSome(pending, &pending) })
	require.NoError(x, err)
	if x.telling[i] = pending; len(pending) == 0 {
		x.telling = slices.Delete(x.telling, i, i+1)
	}
}

// restart cuts the power. The start finishes what is under way, and is audited.
func (x *interleaving) restart() {
	require.NoError(x, x.store.answer(nil))
	x.telling, x.retrying = nil, nil
	x.Restart(x.T)
}

// drain brings everything to its end.
func (x *interleaving) drain() {
	for len(x.retrying)+len(x.telling) > 0 {
		x.stepOfRetry()
		x.stepOfTelling()
	}
	x.Advance(time.Hour)
	for x.dequeue(); len(x.held) > 0; x.dequeue() {
		for x.finish(); len(x.telling) > 0; {
			x.stepOfTelling()
		}
	}
	for _, id := range x.jobs {
		status, err := x.store.JobStatus(x.Context(), id)
		if x.allow(err, queue.ErrNotExist) {
			require.True(x, status.State.Over(), "job %s is stuck: it is %s", id, status.State)
		}
	}
}
