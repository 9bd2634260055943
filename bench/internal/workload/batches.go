package workload

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/report"
	"github.com/longshore-queue/longshore/bench/internal/wire"
)

const (
	// batchesGoal is how many cycles a second are to be made in batches.
	batchesGoal = 50_000.0
	// batchesOf is how many jobs a request is about.
	batchesOf = 100
	// batchesKinds is how many different batches a connection adds, in turn. They are long.
	batchesKinds  = 4
	batchesCycles = "cycles in batches"
)

// batchesBy is how many connections make them: few wait the most for the disk, many share it.
func (b *Bench) batchesBy() []int {
	if most := b.Connections; most > 4 {
		return slices.Compact([]int{4, max(most/4, 4), most})
	}
	return []int{b.Connections}
}

// batches measures full cycles of jobs that are added 100 at a time, and leased 100 at a time
// with the reports on the 100 before.
func batches(ctx context.Context, b *Bench) error {
	by := b.batchesBy()
	for round := range b.Repeat {
		for _, i := range turns(len(by), round) {
			callers := by[i]
			r, err := b.batchesOnce(ctx, callers)
			if err != nil {
				return fmt.Errorf("%s: %w", connections(callers), err)
			}
			b.Say("batches %d/%d, %s: %s cycles/s", round+1, b.Repeat, connections(callers), report.Number(r.Rate()))
			b.add(batchesName(), longshore+", "+connections(callers), batchesCycles, r)
		}
	}
	for _, callers := range by {
		b.Figures.Aim(rateOf(batchesName(), longshore+", "+connections(callers), batchesCycles), report.Goal{Limit: batchesGoal})
	}
	return nil
}

func batchesName() string { return "cycles in batches of " + strconv.Itoa(batchesOf) }

// batchesOnce measures from a start of its own. The result counts jobs.
func (b *Bench) batchesOnce(ctx context.Context, callers int) (r load.Result, err error) {
	store, err := b.fresh()
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = closing(err, remover(store)) }()
	s, err := b.start(ctx, store, b.LogLevel, fmt.Sprintf("batches-%d", callers))
	if err != nil {
		return load.Result{}, err
	}
	defer func() { err = closing(err, s.Stop) }()
	r, err = load.Run(ctx, b.timed(s, callers, cyclingBatches))
	r.Operations *= batchesOf
	return r, err
}

// cyclingBatches adds jobs, and then leases as many and finishes those before in one request.
// There are always as many to lease, as in cycling.
func cyclingBatches(connection int) load.Operation {
	source := jobs.New("batches of cycles of connection " + strconv.Itoa(connection))
	added := make([][]byte, batchesKinds)
	for i := range added {
		batch := make([]string, batchesOf)
		for j := range batch {
			batch[j] = source.Body()
		}
		added[i] = wire.Post("/v1/jobs/batch", `{"jobs":[`+strings.Join(batch, ",")+`]}`)
	}
	turn := 0
	exchange := newExchange()
	return func(c *wire.Conn) error {
		turn = (turn + 1) % batchesKinds
		if _, err := c.Expect(http.StatusCreated, added[turn]); err != nil {
			return fmt.Errorf("enqueue: %w", err)
		}
		return exchange.on(c)
	}
}

// exchange reports on leases and asks for others. What is sent is made once, with a gap for
// each token.
type exchange struct {
	first, next []byte
	gaps        [batchesOf][]byte // in next
	reported    bool              // there are leases to report on
}

func newExchange() *exchange {
	const ask = `{"types":["` + jobs.Type + `"]`
	limit := `,"max":` + strconv.Itoa(batchesOf)
	gap := strings.Repeat("-", tokenSize)
	item := `{"token":"` + gap + `","result":{"ok":true}}`
	e := &exchange{
		first: wire.Post("/v1/dequeue/batch", ask+limit+"}"),
		next:  wire.Post("/v1/dequeue/batch", ask+limit+`,"finish":[`+item+strings.Repeat(","+item, batchesOf-1)+"]}"),
	}
	rest := e.next
	for i := range e.gaps {
		e.gaps[i], rest = cutGap(rest, gap)
	}
	return e
}

// cutGap returns the first gap in a request, which is there to be filled, and what is after it.
func cutGap(request []byte, gap string) (place, rest []byte) {
	before, rest, _ := bytes.Cut(request, []byte(gap))
	return request[len(before):][:len(gap):len(gap)], rest
}

func (e *exchange) on(c *wire.Conn) error {
	request := e.first
	if e.reported {
		request = e.next
	}
	answer, err := c.Expect(http.StatusOK, request)
	if err != nil {
		return fmt.Errorf("dequeue and finish: %w", err)
	}
	finished, leases, _ := bytes.Cut(answer.Body, []byte(`"leases":[`))
	if e.reported && bytes.Count(finished, []byte(`"state":"finished"`)) != batchesOf {
		return fmt.Errorf("not all were finished: %s", finished)
	}
	const before = `,"token":"`
	for i := range e.gaps {
		at := bytes.Index(leases, []byte(before))
		if at < 0 || len(leases) < at+len(before)+tokenSize {
			return fmt.Errorf("%d leases instead of %d", i, batchesOf)
		}
		leases = leases[at+len(before):]
		copy(e.gaps[i], leases)
	}
	e.reported = true
	return nil
}
