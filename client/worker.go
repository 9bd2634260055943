package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// lastRequests is how long a stopping worker takes for the requests that give jobs back, when
// its handlers have had their time.
const lastRequests = 5 * time.Second

// Worker asks a server for jobs and runs them. It runs once.
type Worker struct {
	calls   calls
	options WorkerOptions
	request DequeueRequest
	log     Logger
	kill    context.CancelFunc // ends alive

	started atomic.Bool
	stuck   atomic.Int64   // handlers that did not return when they had to
	slots   *slots         // those in which no job runs, is adopted, or is asked for
	begun   time.Time      // when Run was called
	runs    sync.WaitGroup // one for each job that this worker has anything to do with

	oneByOne atomic.Bool // no request is for many
	endings  gathering[*ending]
	beats    gathering[*pulse]

	// What a stop ends, one after the other. All but alive are made by Run.
	alive    context.Context // until Kill
	polling  context.Context // until the drain
	handling context.Context // until the drain timeout; parent of the handlers' contexts
	waiting  context.Context // until the stop grace: for handlers that do not return
	sending  context.Context // until the time for the last requests is over
}

// NewWorker returns a worker of the server that client talks to. Nothing is sent before Run.
func NewWorker(client *Client, options WorkerOptions) (*Worker, error) {
	if err := options.validate(); err != nil {
		return nil, fmt.Errorf("new worker: %w", err)
	}
	options = options.withDefaults()
	w := &Worker{
		calls:   calls{api: client.api.ClientInterface, timeout: options.RequestTimeout, reach: newReach()},
		options: options,
		request: DequeueRequest{Types: slices.Sorted(maps.Keys(options.Handlers))},
		log:     options.Logger,
		slots:   newSlots(options.Concurrency),
	}
	w.options.Handlers = maps.Clone(options.Handlers)
	w.alive, w.kill = context.WithCancel(context.Background())
	if len(options.Channels) > 0 {
		channels := slices.Clone(options.Channels)
		w.request.Channels = &channels
	}
	if options.Name != "" {
		w.request.Worker = &options.Name
	}
	return w, nil
}

// Kill makes Run return as soon as the handlers do: their contexts and all requests end, and
// nothing is reported or given back. The server takes the leases back when they time out,
// unless a later process adopts them first. It does not block.
func (w *Worker) Kill() { w.kill() }

// Run adopts the leases of an earlier process, then asks for jobs and runs them until ctx
// ends, and then drains: it asks for no more, lets running jobs go on for DrainTimeout, ends
// the contexts of those that remain, and gives their jobs back. It blocks until that is done,
// at most DrainTimeout, StopGrace and a few seconds after ctx ended. Handlers inherit the
// values of ctx, but not its end.
//
// The error is nil after a drain in which every handler returned. It is not when handlers
// ignored the end of their contexts (their goroutines go on), when the server says that the
// request for jobs is not valid, when the store of tokens cannot be read, or when the worker
// ran before.
func (w *Worker) Run(ctx context.Context) error {
	if w.started.Swap(true) {
		return errors.New("run worker: it ran before")
	}
	w.begun = time.Now()
	tokens, err := w.options.Tokens.Tokens()
	if err != nil {
		return fmt.Errorf("run worker: list the leases to adopt: %w", err)
	}

	polling, endPolling := context.WithCancel(ctx)
	defer endPolling()
	forgetKill := context.AfterFunc(w.alive, endPolling)
	defer forgetKill()
	detached := context.WithoutCancel(ctx)
	var endHandling, endWaiting, endSending context.CancelCauseFunc
	w.handling, endHandling = context.WithCancelCause(detached)
	w.waiting, endWaiting = context.WithCancelCause(detached)
	w.sending, endSending = context.WithCancelCause(detached)
	defer endHandling(nil)
	defer endWaiting(nil)
	defer endSending(nil)

	var pollers *errgroup.Group
	pollers, w.polling = errgroup.WithContext(polling)
	w.adoptAll(tokens)
	for range w.options.Pollers {
		pollers.Go(w.poll)
	}
	err = pollers.Wait() // no run begins after this

	done := make(chan struct{})
	go func() {
		w.runs.Wait()
		close(done)
	}()
	killed := w.alive.Done()
	stage(done, w.options.DrainTimeout, killed)
	if w.alive.Err() == nil {
		endHandling(ErrDraining)
		stage(done, w.options.StopGrace, killed)
	}
	if w.alive.Err() != nil {
		endSending(ErrKilled) // first, so that nothing is reported
		endHandling(ErrKilled)
		stage(done, w.options.StopGrace, nil)
	}
	endWaiting(ErrDraining)
	stage(done, lastRequests, killed)
	endSending(ErrDraining)
	<-done

	if n := w.stuck.Load(); n > 0 {
		err = errors.Join(err, fmt.Errorf("%d handlers did not return within %s of the end of their contexts", n, w.options.StopGrace))
	}
	if err != nil {
		return fmt.Errorf("run worker: %w", err)
	}
	return nil
}

// stage blocks until done is closed, d has passed, or cut is closed.
func stage(done <-chan struct{}, d time.Duration, cut <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	case <-cut:
	}
}

// start does something about jobs, each on a goroutine of its own that then frees its slot.
func (w *Worker) start(do ...func(*slot)) {
	w.endings.enter(len(do)) // all of them, before the first can have ended
	for _, do := range do {
		w.runs.Go(func() {
			s := &slot{}
			do(s)
			if !s.joined {
				w.endings.leave()
			}
			if !s.given {
				w.slots.put(1)
			}
		})
	}
}
