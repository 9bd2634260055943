package queuetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/longshore-queue/longshore/internal/queue"
)

var stormTests = map[string]func(*testing.T, *fixture){
	// GUARANTEES L3. What every call is answered is the random walk's matter; this is about what
	// is left when they all come at once, which the audit of the store looks at as well.
	"whatever is done at once, nothing is stuck": func(t *testing.T, f *fixture) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		s := &storm{fixture: f, ids: f.enqueue(t, stormGraph(6, 8)...)}
		var group errgroup.Group
		for i, act := range []func(context.Context, *rand.Rand) error{
			s.work, s.work, s.work, s.cancel, s.retry, s.retry, s.update, s.add, s.beat, s.jump,
		} {
			random := rand.New(rand.NewPCG(seed, uint64(i))) //nolint:gosec // not for secrets
			group.Go(func() error {
				for range 100 {
					if err := act(t.Context(), random); err != nil {
						return err
					}
				}
				return nil
			})
		}
		require.NoError(t, group.Wait())
		f.drain(t, "work")
	},
	"a retry and the end of what it brings back, at once": func(t *testing.T, f *fixture) {
		for range 10 {
			ids := f.enqueue(t, stormGraph(5, 4)...)
			f.fail(t, f.dequeue(t, "work").Token, "broken")
			var group errgroup.Group
			for _, id := range ids[:6] {
				group.Go(func() error { return among(f.Queue().RetryJob(t.Context(), id), refusedRetry...) })
			}
			group.Go(func() error { return among(f.Queue().CancelJob(t.Context(), ids[0]), queue.ErrNotRunning) })
			group.Go(func() error {
				l, err := f.try("work")
				if err != nil {
					return among(err, queue.ErrDequeueTimeout)
				}
				_, err = f.Queue().Fail(t.Context(), l.Token, queue.Failure{Error: queue.JobError{Reason: "again"}})
				return among(err, queue.ErrCanceled)
			})
			group.Go(func() error {
				_, err := f.Queue().Enqueue(t.Context(), []queue.NewJob{{Type: "work", Dependencies: ids, RunIf: queue.AllFinished}})
				return err
			})
			require.NoError(t, group.Wait())
			f.drain(t, "work")
		}
	},
}

// refusedRetry is how a retry may be refused.
var refusedRetry = []error{queue.ErrNotFailed, queue.ErrDependencyFailed, queue.ErrUniqueKeyTaken}

// stormGraph makes a job that layers of others depend on, some of them whatever becomes of it.
func stormGraph(layers, width int) []queue.NewJob {
	job := retrying("work", 3)
	job.Retry.Initial, job.Timeout, job.MaxTimeouts = 0, time.Minute, 1
	job.Name = "0-0"
	jobs := []queue.NewJob{job}
	for layer := 1; layer < layers; layer++ {
		for i := range width {
			job.Name, job.Needs = fmt.Sprintf("%d-%d", layer, i), nil
			for k := range width {
				if layer == 1 {
					job.Needs = needs("0-0")
				} else if (i+k)%3 != 0 {
					need := queue.Need{Name: fmt.Sprintf("%d-%d", layer-1, k)}
					if (i+k)%5 == 0 {
						need.If = queue.IfOver
					}
					job.Needs = append(job.Needs, need)
				}
			}
			jobs = append(jobs, job)
		}
	}
	return jobs
}

// storm is what many callers do to the same jobs.
type storm struct {
	*fixture
	ids []uuid.UUID
}

func (s *storm) any(random *rand.Rand) uuid.UUID {
	if random.IntN(3) == 0 {
		return s.ids[0] // on which all others depend
	}
	return s.ids[random.IntN(len(s.ids))]
}

func (s *storm) work(ctx context.Context, random *rand.Rand) error {
	l, err := s.try("work")
	if err != nil {
		return among(err, queue.ErrDequeueTimeout)
	}
	for _, d := range l.Dependencies {
		if !d.State.Over() {
			// It may have been retried since the grant.
			if status, err := s.Queue().JobStatus(ctx, d.ID); err != nil || status.Generation == 0 {
				return fmt.Errorf("job %s began while its dependency %s was %s: %w", l.JobID, d.ID, d.State, err)
			}
		}
	}
	switch random.IntN(6) {
	case 0:
		_, err = s.Queue().Fail(ctx, l.Token, queue.Failure{Error: queue.JobError{Reason: "broken"}})
	case 1:
		_, err = s.Queue().Fail(ctx, l.Token, retryable("broken"))
	case 2:
		_, err = s.Queue().Release(ctx, l.Token, time.Duration(random.IntN(2))*time.Second)
	case 3:
		_, err = s.Queue().RequeueOrFinishJob(ctx, l.Token, 2, error1(queue.ReasonHeartbeatLost))
	case 4: // its run takes too long
	default:
		_, err = s.Queue().RequeueOrFinishJob(ctx, l.Token, 0, result1(`1`))
	}
	return among(err, queue.ErrCanceled, queue.ErrLeaseLost)
}

func (s *storm) cancel(ctx context.Context, random *rand.Rand) error {
	return among(s.Queue().CancelJob(ctx, s.any(random)), queue.ErrNotRunning)
}

func (s *storm) retry(ctx context.Context, random *rand.Rand) error {
	return among(s.Queue().RetryJob(ctx, s.any(random)), refusedRetry...)
}

func (s *storm) update(ctx context.Context, random *rand.Rand) error {
	update := queue.Update{Priority: new(random.IntN(3)), Labels: &map[string]string{"a": "b"}}
	if random.IntN(2) == 0 {
		update.RunAt = new(s.Now().Add(time.Second))
	}
	return among(s.Queue().UpdateJob(ctx, s.any(random), update), queue.ErrNotPending)
}

func (s *storm) add(ctx context.Context, random *rand.Rand) error {
	job := queue.NewJob{Type: "work", Dependencies: []uuid.UUID{s.any(random), s.any(random)}, UniqueKey: fmt.Sprint(random.IntN(2))}
	job.RunIf = queue.RunIf(random.IntN(2))
	if random.IntN(2) == 0 {
		job.ExpiresAt = s.Now().Add(time.Second)
	}
	_, err := s.Queue().Enqueue(ctx, []queue.NewJob{job})
	return err
}

func (s *storm) beat(ctx context.Context, random *rand.Rand) error {
	tokens, err := s.Queue().Heartbeats(ctx, 0)
	if err != nil || len(tokens) == 0 {
		return err
	}
	_, err = s.Queue().RefreshHeartbeat(ctx, tokens[random.IntN(len(tokens))], queue.Beat{Progress: progress(1, "x")})
	return among(err, queue.ErrLeaseLost)
}

func (s *storm) jump(_ context.Context, random *rand.Rand) error {
	s.Advance(time.Duration(random.IntN(20)) * time.Second)
	return nil
}

// among returns an error that is none of those that are to be expected.
func among(err error, expected ...error) error {
	for _, e := range expected {
		if errors.Is(err, e) {
			return nil
		}
	}
	return err
}

// drain lets go of every lease, and runs everything to its end.
func (f *fixture) drain(t *testing.T, types ...string) {
	t.Helper()
	for _, token := range f.staleTokens(t, 0) {
		f.release(t, token, 0)
	}
	f.Advance(time.Hour)
	f.runToEnd(t, types...)
	require.Empty(t, f.list(t, 100, queue.Scheduled, queue.Blocked, queue.Pending, queue.Running), "nothing is stuck")
}
