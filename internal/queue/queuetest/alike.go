package queuetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// TestAlike drives two engines, whose clocks show the same, with the same random calls, and requires
// that they answer alike: everything but ids, tokens and versions, which are each engine's own. The
// walk compares with the model as well, which knows less of what there is to see than the engines do.
// Nothing restarts, which is a heartbeat for all leases of one engine and means nothing to another.
func TestAlike(t *testing.T, open func(t TB) (first, second Harness)) {
	t.Helper()
	rapid.Check(t, func(r *rapid.T) {
		first, second := open(r)
		require.Equal(r, first.Now(), second.Now())
		p := &pair{r: r, first: first, second: second, twins: make(map[uuid.UUID]uuid.UUID), taken: make(map[uuid.UUID]uuid.UUID)}
		defer p.Close(r)
		w := newWalk(p)
		actions := w.actions()
		for range 3 {
			r.Repeat(actions)
			p.view(w)
		}
		w.drain(r)
		p.view(w)
	})
}

// pair is two harnesses that do the same.
type pair struct {
	r             *rapid.T
	first, second Harness
	twins         map[uuid.UUID]uuid.UUID // what the second one calls what the first one calls so
	taken         map[uuid.UUID]uuid.UUID // the other way round
}

func (p *pair) Queue() Queue {
	return &pairQueue{Queue: p.first.Queue(), pair: p, second: p.second.Queue()}
}

func (p *pair) Now() time.Time { return p.first.Now() }

func (p *pair) Advance(d time.Duration) {
	p.first.Advance(d)
	p.second.Advance(d)
}

func (p *pair) Observed() *Observed { return p.first.Observed() }

func (*pair) Restart(t TB) { t.Fatalf("a pair is not restarted") }

func (p *pair) Close(t TB) {
	p.first.Close(t)
	p.second.Close(t)
}

// view looks at everything there is to see, deleted jobs and leases that are over included.
func (p *pair) view(w *walk) {
	require.Equal(p.r, p.first.Observed().Counts(), p.second.Observed().Counts(), "by the moves that were told")
	q, ctx := p.Queue(), context.Background()
	for _, id := range w.model.order {
		_, _ = q.Attempts(ctx, id) // they are compared on the way
		_, _ = q.Explain(ctx, id)
		_, _ = q.Job(ctx, id)
		_, _ = q.JobStatus(ctx, id)
	}
	for _, token := range w.tokens {
		_, _ = q.Lease(ctx, token)
	}
	// What was deleted may have a channel yet.
	_, _ = q.ChannelsOf(ctx, slices.DeleteFunc(slices.Clone(w.model.order), func(id uuid.UUID) bool { return w.model.find(id) == nil }))
	_, _ = q.LeaseChannels(ctx, slices.DeleteFunc(slices.Clone(w.tokens), func(token uuid.UUID) bool { return w.model.tokens[token] == nil }))
	_, _ = q.OpenJobs(ctx, walkChannels)
	_, _ = q.Queues(ctx, queue.LaneListing{Limit: queue.MaxPage})
	_, _ = q.Workers(ctx, queue.WorkerListing{Limit: queue.MaxPage})
	_, _ = q.Demand(ctx, queue.Demand{Types: walkTypes, Channels: walkChannels})
	_, _ = q.Demand(ctx, queue.Demand{Types: walkTypes, Channels: walkChannels, Labels: []queue.LabelFilter{{Name: "a"}}})
}

// twin returns what the second engine calls what the first one calls so. What neither has made has
// one name.
func (p *pair) twin(id uuid.UUID) uuid.UUID {
	if twin, known := p.twins[id]; known {
		return twin
	}
	return id
}

// ask asks both engines the same, translated for each, and returns what the first one answers.
func ask[T any](p *pair, call string, of func(q Queue, n naming) (T, error)) (T, error) {
	p.r.Helper()
	answer, err := of(p.first.Queue(), func(id uuid.UUID) uuid.UUID { return id })
	other, otherErr := of(p.second.Queue(), p.twin)
	require.NoError(p.r, p.compareErrors(err, otherErr), call)
	if err == nil {
		require.NoError(p.r, p.compare(reflect.ValueOf(&answer), reflect.ValueOf(&other)), call)
	}
	return answer, err
}

// compare returns where two answers are not alike.
func (p *pair) compare(a, b reflect.Value) error {
	differ := fmt.Errorf("%v and %v", a, b)
	if a.IsValid() != b.IsValid() {
		return differ
	}
	switch first := a.Interface().(type) {
	case uuid.UUID:
		return p.meet(first, b.Interface().(uuid.UUID))
	case time.Time:
		if second := b.Interface().(time.Time); !first.Equal(second) {
			return fmt.Errorf("%s and %s", first, second)
		}
		return nil
	case queue.Reported:
		if second := b.Interface().(queue.Reported); waitsInCall(first.State, second.State) {
			return p.compareErrors(first.Err, second.Err)
		}
	case queue.Page:
		// Whether an end is known to be one is each engine's own.
		return p.compare(reflect.ValueOf(first.Jobs), reflect.ValueOf(b.Interface().(queue.Page).Jobs))
	case queue.Rates:
		return nil // an engine may forget those of a lane that has no jobs for a while
	case queue.JobError:
		second := b.Interface().(queue.JobError)
		if first.Reason == queue.ReasonDependencyFailed && second.Reason == first.Reason {
			return nil // any of several may be named
		}
	case queue.Dependency:
		second := b.Interface().(queue.Dependency)
		if first.Deleted || second.Deleted { // it may be there yet
			first.Result, first.Error, first.Deleted = nil, nil, false
			second.Result, second.Error, second.Deleted = nil, nil, false
			return p.compareFields(reflect.ValueOf(first), reflect.ValueOf(second))
		}
	}
	switch a.Kind() {
	case reflect.Pointer, reflect.Interface:
		if a.IsNil() || b.IsNil() {
			if a.IsNil() != b.IsNil() {
				return differ
			}
			return nil
		}
		if first, ok := a.Interface().(error); ok {
			return p.compareErrors(first, b.Interface().(error))
		}
		return p.compare(a.Elem(), b.Elem())
	case reflect.Struct:
		return p.compareFields(a, b)
	case reflect.Slice, reflect.Array:
		if a.Type().Elem().Kind() == reflect.Uint8 {
			return p.compareTexts(string(a.Bytes()), string(b.Bytes()))
		}
		if a.Len() != b.Len() {
			return differ
		}
		for i := range a.Len() {
			if err := p.compare(a.Index(i), b.Index(i)); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		}
		return nil
	case reflect.String:
		return p.compareTexts(a.String(), b.String())
	default:
		if !reflect.DeepEqual(a.Interface(), b.Interface()) {
			return differ
		}
		return nil
	}
}

// waitsInCall reports whether one is pending and the other blocked: what it waits for may have been reported
// by the same call, and be settled after it.
func waitsInCall(a, b queue.State) bool {
	return a == queue.Pending && b == queue.Blocked || a == queue.Blocked && b == queue.Pending
}

func (p *pair) compareFields(a, b reflect.Value) error {
	for i := range a.NumField() {
		name := a.Type().Field(i).Name
		if name == "Version" { // it need only grow
			continue
		}
		if err := p.compare(a.Field(i), b.Field(i)); err != nil {
			return fmt.Errorf(".%s%w", name, err)
		}
	}
	return nil
}

var ids = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

func (p *pair) compareTexts(a, b string) error {
	translated := ids.ReplaceAllStringFunc(a, func(id string) string { return p.twin(uuid.MustParse(id)).String() })
	if translated != b {
		return fmt.Errorf("%q and %q", translated, b)
	}
	return nil
}

// meet learns that two ids stand for the same, or that they do not.
func (p *pair) meet(a, b uuid.UUID) error {
	twin, known := p.twins[a]
	if known && twin != b {
		return fmt.Errorf("%s, which is the other's %s, and %s", a, twin, b)
	}
	if twin, taken := p.taken[b]; taken && twin != a {
		return fmt.Errorf("%s and %s, which is the first one's %s", a, b, twin)
	}
	if !known && a != b {
		p.twins[a], p.taken[b] = b, a
	}
	return nil
}

var errNone = errors.New("none")

// compareErrors compares what callers can tell of an error.
func (p *pair) compareErrors(a, b error) error {
	if (a == nil) != (b == nil) {
		return fmt.Errorf("error %w and error %w", cmp.Or(a, errNone), cmp.Or(b, errNone))
	}
	for _, known := range []error{
		queue.ErrNotExist, queue.ErrNotPending, queue.ErrNotRunning, queue.ErrCanceled, queue.ErrDequeueTimeout, queue.ErrLeaseLost,
		queue.ErrAlreadyReported, queue.ErrChanged, queue.ErrNotFailed, queue.ErrNotOver, queue.ErrDeleted, queue.ErrDependencyFailed,
		queue.ErrUniqueKeyTaken, queue.ErrKeyReused, queue.ErrUnavailable, queue.ErrDamaged,
	} {
		if errors.Is(a, known) != errors.Is(b, known) {
			return fmt.Errorf("error %w and error %w", a, b)
		}
	}
	var invalid, otherInvalid *queue.InvalidError
	if errors.As(a, &invalid) != errors.As(b, &otherInvalid) {
		return fmt.Errorf("error %w and error %w", a, b)
	}
	if invalid != nil {
		return p.compareFields(reflect.ValueOf(*invalid), reflect.ValueOf(*otherInvalid))
	}
	var dependency, otherDependency *queue.DependencyError
	if errors.As(a, &dependency) && errors.As(b, &otherDependency) {
		return p.compareFields(reflect.ValueOf(*dependency), reflect.ValueOf(*otherDependency))
	}
	return nil
}
