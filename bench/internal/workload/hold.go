package workload

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/report"
	"github.com/longshore-queue/longshore/bench/internal/stat"
	"github.com/longshore-queue/longshore/bench/internal/wire"
)

// holdParts is how many parts the time is told in.
const holdParts = 5

// hold measures claims while somebody holds a transaction open: no row that is deleted meanwhile
// can be removed, and whoever looks for jobs has to pass over them. Before it, the same churn goes
// on for as long as one of the parts takes. On the embedded store there is churn, and nothing to
// hold.
func hold(ctx context.Context, b *Bench) error {
	for round := range b.Holds {
		h, err := b.holdOnce(ctx)
		if err != nil {
			return err
		}
		for i := range holdParts + 1 {
			claims := h.within(i)
			if len(claims) == 0 {
				return fmt.Errorf("no job was claimed %s", holdWhen(i))
			}
			b.Say("hold %d/%d, %s: claim %s us", round+1, b.Holds, holdWhen(i), report.Number(microseconds(claims, 50)))
			for _, p := range told(len(claims)) {
				b.Figures.Add(b.holdClaim(i, p.name), stat.Percentile(claims, p.p)/1e6)
			}
			b.Figures.Add(report.Name{Workload: b.holdName(), System: holdWhen(i), Measure: "claims", Unit: "/s"}, float64(len(claims))/h.part.Seconds())
		}
		b.Figures.Add(report.Name{Workload: b.holdName(), System: holdWhen(holdParts), Measure: "size of the store", Unit: "MB"}, h.size)
	}
	b.Figures.Compare(b.holdName())
	for _, p := range percentiles() {
		b.Figures.Ratio(report.Name{Workload: b.holdName(), System: "last by before", Measure: b.holdClaim(0, p.name).Measure},
			b.holdClaim(holdParts, p.name), b.holdClaim(0, p.name))
	}
	return nil
}

func (b *Bench) holdName() string {
	return b.name() + ", a transaction held open for " + b.Hold.String()
}

// holdWhen names a part of the time, the one before the transaction first.
func holdWhen(i int) string {
	if i == 0 {
		return "before"
	}
	return fmt.Sprintf("part %d", i)
}

func (b *Bench) holdClaim(i int, percentile string) report.Name {
	return report.Name{Workload: b.holdName(), System: holdWhen(i), Measure: "claim, " + percentile, Unit: "ms"}
}

// held is what was seen.
type held struct {
	begin  time.Time     // of the part before the transaction
	part   time.Duration // how long each part is
	claims [][]claim     // of each connection, in order
	size   float64       // of the store at the end, in MB
}

// claim is a dequeue that was answered.
type claim struct {
	at   time.Time
	took time.Duration
}

// within is how long the claims of a part took.
func (h *held) within(i int) []time.Duration {
	var took []time.Duration
	from := h.begin.Add(time.Duration(i) * h.part)
	to := from.Add(h.part)
	for _, claims := range h.claims {
		for _, c := range claims {
			if !c.at.Before(from) && c.at.Before(to) {
				took = append(took, c.took)
			}
		}
	}
	return took
}

func (b *Bench) holdOnce(ctx context.Context) (h *held, err error) {
	store, err := b.fresh(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = closing(err, b.remover(ctx, store)) }()
	s, err := b.start(ctx, store, b.LogLevel, "hold")
	if err != nil {
		return nil, err
	}
	defer func() { err = closing(err, s.Stop) }()
	h = &held{part: b.Hold / holdParts, claims: make([][]claim, b.Connections)}
	l := b.timed(s, b.Connections, func(connection int) load.Operation { return b.claiming(connection, &h.claims[connection]) })
	l.Duration = h.part * (holdParts + 1)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	h.begin = time.Now().Add(b.WarmUp)
	var (
		holding sync.WaitGroup
		failed  error
	)
	holding.Go(func() { failed = b.holdTransaction(ctx, store, h.begin.Add(h.part)) })
	_, err = load.Run(ctx, l)
	cancel()
	holding.Wait()
	if err := errors.Join(err, failed); err != nil {
		return nil, err
	}
	h.size, err = b.stores().size(context.WithoutCancel(ctx), store)
	return h, err
}

// holdTransaction holds a transaction from some time on until ctx ends.
func (b *Bench) holdTransaction(ctx context.Context, store string, from time.Time) (err error) {
	timer := time.NewTimer(time.Until(from))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil
	}
	if b.Store != Postgres {
		return nil
	}
	database, err := databaseOf(store)
	if err != nil {
		return err
	}
	release, err := b.Cluster.Hold(ctx, database)
	if err != nil {
		return err
	}
	<-ctx.Done()
	return release()
}

// claiming is cycling that notes how long the claims take.
func (b *Bench) claiming(connection int, claims *[]claim) load.Operation {
	job := newJobs(connection)
	dequeue := wire.Post("/v1/dequeue", b.dequeue())
	finish := newFinish()
	noted := slices.Grow(*claims, 1<<12)
	return func(c *wire.Conn) error {
		if _, err := c.Expect(http.StatusCreated, job()); err != nil {
			return fmt.Errorf("enqueue: %w", err)
		}
		begin := time.Now()
		lease, err := c.Expect(http.StatusCreated, dequeue)
		if err != nil {
			return fmt.Errorf("dequeue: %w", err)
		}
		end := time.Now()
		noted = append(noted, claim{at: end, took: end.Sub(begin)})
		*claims = noted
		return finish.of(c, lease)
	}
}
