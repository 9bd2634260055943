package load

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

const (
	// longer is how often to look whether enough is done at last.
	longer = 5 * time.Millisecond
	// longest is how much longer to wait until enough is done, rather than anything at all.
	longest = 5 * time.Second
)

// Result is what was measured.
type Result struct {
	Operations int64
	Elapsed    time.Duration
	// Processor is the server's time on processors meanwhile, Database that of its database, and
	// Own that of this process.
	Processor, Database, Own time.Duration
}

// Rate returns operations a second.
func (r Result) Rate() float64 { return float64(r.Operations) / r.Elapsed.Seconds() }

// Each returns how much of a time there is for each operation, in microseconds.
func (r Result) Each(of time.Duration) float64 {
	return float64(of.Nanoseconds()) / 1000 / float64(r.Operations)
}

// Plus returns both together: of measurements of the same thing, one after the other.
func (r Result) Plus(other Result) Result {
	return Result{
		Operations: r.Operations + other.Operations,
		Elapsed:    r.Elapsed + other.Elapsed,
		Processor:  r.Processor + other.Processor,
		Database:   r.Database + other.Database,
		Own:        r.Own + other.Own,
	}
}

// Observed is something that goes on, and how long to look at it.
type Observed struct {
	WarmUp, Duration time.Duration
	// Least is how many operations make a measurement, and a warm-up: fewer are as many as happened
	// to end in it where operations are long and begin together.
	Least int64
	// Done is how many operations are done so far.
	Done func() int64
	// Processor tells the time that the server has spent on processors so far, and Database the
	// same of its database; nil if that is of no interest.
	Processor, Database func() (time.Duration, error)
}

// Observe measures what goes on, for longer than it was told to if nothing is done by then: a
// moment in which a slow disk answers nobody has a rate too. It ends early with ctx.
func Observe(ctx context.Context, o Observed) (Result, error) {
	if o.WarmUp > 0 {
		o.wait(ctx, 0, o.WarmUp)
	}
	begin := o.look()
	o.wait(ctx, begin.done, o.Duration)
	for limit := time.Now().Add(patience); o.Done() == begin.done && ctx.Err() == nil && time.Now().Before(limit); {
		wait(ctx, longer)
	}
	return between(begin, o.look())
}

// wait lets it go on for that long, and then until enough more is done than was before.
func (o Observed) wait(ctx context.Context, before int64, d time.Duration) {
	wait(ctx, d)
	for limit := time.Now().Add(longest); o.Done()-before < o.Least && ctx.Err() == nil && time.Now().Before(limit); {
		wait(ctx, longer)
	}
}

// moment is what there is to see at one time.
type moment struct {
	at        time.Time
	done      int64
	processor time.Duration
	database  time.Duration
	own       time.Duration
	err       error
}

func (o Observed) look() moment {
	m := moment{done: o.Done(), at: time.Now()}
	var own syscall.Rusage
	m.err = syscall.Getrusage(syscall.RUSAGE_SELF, &own)
	m.own = time.Duration(own.Utime.Nano() + own.Stime.Nano())
	m.processor, m.err = ask(o.Processor, m.err)
	m.database, m.err = ask(o.Database, m.err)
	return m
}

// ask asks for a time, if there is somebody to ask.
func ask(of func() (time.Duration, error), before error) (time.Duration, error) {
	if of == nil {
		return 0, before
	}
	t, err := of()
	return t, errors.Join(before, err)
}

func between(begin, end moment) (Result, error) {
	r := Result{
		Operations: end.done - begin.done,
		Elapsed:    end.at.Sub(begin.at),
		Processor:  end.processor - begin.processor,
		Database:   end.database - begin.database,
		Own:        end.own - begin.own,
	}
	if err := errors.Join(begin.err, end.err); err != nil {
		return Result{}, err
	}
	if r.Operations == 0 {
		return Result{}, fmt.Errorf("nothing was answered within %s", r.Elapsed)
	}
	return r, nil
}

// wait lets the load go on for that long, unless it ends by itself.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
