package workload

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/process"
	"github.com/longshore-queue/longshore/bench/internal/report"
	"github.com/longshore-queue/longshore/client"
)

// way is how one process with many slots goes through cycles.
type way struct {
	name, purpose string
	cycle         func(*slots, context.Context) error
}

func ways() []way {
	return []way{
		{"each slot calls for itself", "calls", (*slots).call},
		{"a worker calls for all slots", "worker", (*slots).work},
	}
}

// overProtocols measures one process with many slots, which goes through cycles with the product's client over each protocol.
func overProtocols(ctx context.Context, b *Bench) error {
	cert, err := certify(filepath.Join(b.Work, "tls"))
	if err != nil {
		return err
	}
	known := protocols(cert.roots)
	for round := range b.Repeat {
		for _, w := range ways() {
			for _, i := range turns(len(known), round) {
				p := known[i]
				r, opened, err := b.overProtocol(ctx, p, w, cert)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", p.name, w.name, err)
				}
				b.Say("protocols %d/%d, %s, %s: %s cycles/s, %d connections", round+1, b.Repeat, w.name, p.name, report.Number(r.Rate()), opened)
				b.add(w.workload(b), p.name, cyclesDone, r)
				b.Figures.Add(report.Name{Workload: w.workload(b), System: p.name, Measure: "connections opened in all"}, float64(opened))
			}
		}
	}
	for _, w := range ways() {
		for _, p := range known[1:] {
			name := report.Name{Workload: w.workload(b), System: p.name, Measure: "part of the rate of " + known[0].name}
			b.Figures.Ratio(name, rateOf(w.workload(b), p.name, cyclesDone), rateOf(w.workload(b), known[0].name, cyclesDone))
		}
	}
	return nil
}

const cyclesDone = "cycles"

func (w way) workload(b *Bench) string {
	return fmt.Sprintf("one process of %d slots, %s", b.Connections, w.name)
}

// overProtocol returns how many cycles were done, and how many connections the client has opened for them.
func (b *Bench) overProtocol(ctx context.Context, p protocol, w way, cert *certificate) (r load.Result, opened int64, err error) {
	store, err := b.fresh(ctx)
	if err != nil {
		return load.Result{}, 0, err
	}
	defer func() { err = closing(err, b.remover(ctx, store)) }()
	transport := p.transport(&opened)
	defer transport.CloseIdleConnections()
	program := b.program(store, b.LogLevel, "protocols-"+w.purpose+"-"+p.purpose)
	if p.scheme == "https" {
		program.Args = append(program.Args, "--tls-cert", cert.file, "--tls-key", cert.key)
		program.Ready = func(ctx context.Context, address string) bool { return isReady(ctx, cert.roots, address) }
	}
	s, err := process.Start(ctx, program)
	if err != nil {
		return load.Result{}, 0, err
	}
	defer func() { err = closing(err, s.Stop) }()
	c, err := client.New(p.scheme+"://"+s.Address, client.Options{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		return load.Result{}, 0, err
	}
	r, err = b.observe(ctx, &slots{client: c, n: b.Connections, args: jobs.New("slots").Args()}, w, s)
	return r, atomic.LoadInt64(&opened), err
}

// observe measures slots that go through cycles.
func (b *Bench) observe(ctx context.Context, o *slots, w way, s *process.Server) (load.Result, error) {
	group, busy := errgroup.WithContext(ctx)
	busy, stop := context.WithCancel(busy)
	defer stop()
	group.Go(func() error { return w.cycle(o, busy) })
	r, observed := load.Observe(busy, load.Observed{
		WarmUp: b.WarmUp, Duration: b.Duration, Least: int64(o.n), Done: o.done.Load, Processor: processorOf(s), Database: b.database(),
	})
	stop()
	if err := group.Wait(); err != nil {
		return load.Result{}, err
	}
	return r, errors.Join(observed, ctx.Err())
}

// slots are those of one process, which has one client.
type slots struct {
	client *client.Client
	n      int
	args   json.RawMessage // of each job
	done   atomic.Int64
}

// call has each slot add a job, lease one and finish it, by three requests, until ctx ends.
func (o *slots) call(ctx context.Context) error {
	// Without a connection of HTTP/2 every slot would open one at first.
	if err := o.add(ctx); err != nil {
		return err
	}
	var group errgroup.Group
	api := o.client.API()
	for range o.n {
		group.Go(func() error {
			for ctx.Err() == nil {
				if err := o.add(context.WithoutCancel(ctx)); err != nil {
					return err
				}
				lease, err := api.DequeueWithResponse(context.WithoutCancel(ctx), &client.DequeueParams{}, client.DequeueRequest{Types: []string{jobs.Type}})
				if err != nil {
					return fmt.Errorf("dequeue: %w", err)
				}
				if lease.JSON201 == nil {
					return errors.New("no lease where there are jobs")
				}
				_, err = api.FinishLeaseWithResponse(context.WithoutCancel(ctx), lease.JSON201.Token, client.FinishRequest{Result: json.RawMessage(`{"ok":true}`)})
				if err != nil {
					return fmt.Errorf("finish: %w", err)
				}
				o.done.Add(1)
			}
			return nil
		})
	}
	return group.Wait()
}

// work has a worker run jobs each of which adds the next one, until ctx ends.
func (o *slots) work(ctx context.Context) error {
	for range 2 * o.n {
		if err := o.add(ctx); err != nil {
			return err
		}
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	w, err := client.NewWorker(o.client, client.WorkerOptions{
		Concurrency: o.n,
		Handlers: map[string]client.Handler{jobs.Type: func(ctx context.Context, _ *client.Run) (any, error) {
			if err := o.add(ctx); err != nil {
				fail(err)
				return nil, err
			}
			o.done.Add(1)
			return map[string]bool{"ok": true}, nil
		}},
	})
	if err != nil {
		return err
	}
	if err := w.Run(ctx); err != nil {
		return err
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func (o *slots) add(ctx context.Context) error {
	if _, err := o.client.API().CreateJobWithResponse(ctx, &client.CreateJobParams{}, client.NewJob{Type: jobs.Type, Args: o.args}); err != nil {
		return fmt.Errorf("enqueue: %w", err)
	}
	return nil
}

// isReady asks a server that speaks TLS whether it is ready.
func isReady(ctx context.Context, roots *x509.CertPool, address string) bool {
	var opened int64
	transport := protocol{roots: roots}.transport(&opened)
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return false
	}
	return response.Body.Close() == nil && response.StatusCode == http.StatusOK
}
