package workload

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
	"github.com/longshore-queue/longshore/bench/internal/peer"
	"github.com/longshore-queue/longshore/bench/internal/peer/asynq"
	"github.com/longshore-queue/longshore/bench/internal/peer/river"
	"github.com/longshore-queue/longshore/bench/internal/process"
	"github.com/longshore-queue/longshore/bench/internal/report"
	"github.com/longshore-queue/longshore/bench/internal/wire"
)

// keptName names the table of what systems take for jobs that they keep.
func (b *Bench) keptName() string {
	return "what " + report.Size(float64(b.Weighed)) + " jobs that wait take"
}

// peerKept has each system keep jobs.
func (b *Bench) peerKept(ctx context.Context, systems []entrant) error {
	for _, e := range systems {
		system := e.name
		kept, err := e.of(b).keeps(ctx, b.Weighed)
		if errors.Is(err, peer.ErrUnsupported) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: keep %d jobs: %w", system, b.Weighed, err)
		}
		b.Say("peers, %s: %d jobs are kept", system, b.Weighed)
		b.addKept(system, "memory of the server", "MB", kept.Memory/1e6)
		b.addKept(system, "store for each", "B", kept.Store/float64(b.Weighed))
	}
	return nil
}

// addKept adds a figure, if it is known.
func (b *Bench) addKept(system, measure, unit string, figure float64) {
	if figure >= 0 {
		b.Figures.Add(report.Name{Workload: b.keptName(), System: system, Measure: measure, Unit: unit}, figure)
	}
}

// keeper is a system that keeps jobs.
type keeper struct {
	server *process.Server                   // nil if it runs in this program
	size   func() (bytes float64, err error) // nil if it stores nothing
	add    func(n int) error
}

// keep has a system keep jobs, and weighs it before and after, each time when it has nothing left to do.
func (b *Bench) keep(ctx context.Context, n int, k keeper) (peer.Kept, error) {
	before, err := k.weigh(ctx)
	if err != nil {
		return peer.Kept{}, err
	}
	if err := k.add(n); err != nil {
		return peer.Kept{}, err
	}
	after, err := k.weigh(ctx)
	return peer.Kept{Memory: more(before.Memory, after.Memory), Store: more(before.Store, after.Store)}, err
}

func more(before, after float64) float64 {
	if before == peer.Unknown || after == peer.Unknown {
		return peer.Unknown
	}
	return max(0, after-before)
}

func (k keeper) weigh(ctx context.Context) (peer.Kept, error) {
	found := peer.Kept{Memory: peer.Unknown, Store: peer.Unknown}
	if k.server != nil {
		if err := k.server.Rest(ctx); err != nil {
			return found, err
		}
		if resident, err := k.server.FamilyResident(); err == nil {
			found.Memory = float64(resident)
		} else if !errors.Is(err, process.ErrUnknown) {
			return found, err
		}
	}
	if k.size == nil {
		return found, nil
	}
	var err error
	found.Store, err = k.size()
	return found, err
}

// inBatches adds so many jobs in batches.
func inBatches(n int, add func(n int) error) error {
	for left := n; left > 0; left -= fillBatch {
		if err := add(min(left, fillBatch)); err != nil {
			return err
		}
	}
	return nil
}

func (s server) keeps(ctx context.Context, n int) (kept peer.Kept, err error) {
	store, err := s.fresh(ctx)
	if err != nil {
		return kept, err
	}
	defer func() { err = closing(err, s.remover(ctx, store)) }()
	running, err := s.start(ctx, store, s.LogLevel, "peers-kept")
	if err != nil {
		return kept, err
	}
	defer func() { err = closing(err, running.Stop) }()
	conn, err := wire.Dial(ctx, running.Address)
	if err != nil {
		return kept, err
	}
	defer conn.Close()
	all := &adder{conn: conn, source: jobs.New("kept")}
	return s.keep(ctx, n, keeper{server: running, size: s.sizeOf(ctx, store), add: func(n int) error {
		return inBatches(n, func(n int) error {
			batch := make([]string, n)
			for i := range batch {
				batch[i] = all.source.Body()
			}
			_, err := all.post(batch)
			return err
		})
	}})
}

// sizeOf measures a store, in bytes.
func (b *Bench) sizeOf(ctx context.Context, store string) func() (float64, error) {
	return func() (float64, error) {
		size, err := b.stores().size(ctx, store)
		return size * 1e6, err
	}
}

// peerFiles measures the files of a peer that has a directory.
func (b *Bench) peerFiles(ctx context.Context) func() (float64, error) {
	return b.on(Embedded).sizeOf(ctx, filepath.Join(b.Work, peerDirectory))
}

func (r riverContender) keeps(ctx context.Context, n int) (kept peer.Kept, err error) {
	b := r.on(Postgres)
	err = r.with(ctx, func(store string, p *river.Peer) error {
		source := jobs.New("kept")
		kept, err = b.keep(ctx, n, keeper{size: b.sizeOf(ctx, store), add: func(n int) error {
			return inBatches(n, func(n int) error { return p.Keep(ctx, source, n) })
		}})
		return err
	})
	return kept, err
}

func (s sessions) keeps(ctx context.Context, n int) (kept peer.Kept, err error) {
	err = s.with(ctx, s.startIn, func(r running) error {
		if r.server == nil {
			return peer.ErrUnsupported
		}
		session, err := r.open(ctx, peer.Lane, 0)
		if err != nil {
			return err
		}
		defer session.Close()
		kept, err = s.keep(ctx, n, keeper{server: r.server, size: s.peerFiles(ctx), add: func(n int) error {
			return inBatches(n, session.Add)
		}})
		return err
	})
	return kept, err
}

func (a asynqContender) keeps(ctx context.Context, n int) (kept peer.Kept, err error) {
	err = a.withAsynq(ctx, func(r running, p *asynq.Peer) error {
		kept, err = a.keep(ctx, n, keeper{
			server: r.server, size: a.peerFiles(ctx), add: func(n int) error { return p.Keep(ctx, n) },
		})
		return err
	})
	return kept, err
}
