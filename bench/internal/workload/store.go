package workload

import (
	"context"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/report"
)

// Where the server that is measured keeps its jobs.
const (
	Embedded = "embedded" // in files of its own
	Postgres = "postgres" // in a database
)

// removeTimeout bounds the removal of a store, which has to be done when nobody waits any more.
const removeTimeout = time.Minute

// stores are those of one kind. A store is named as --store takes it.
type stores interface {
	// fresh makes an empty one.
	fresh(ctx context.Context) (string, error)
	// copyOf makes one with all that another one has, which no server has open. It is on disk
	// when copyOf returns.
	copyOf(ctx context.Context, store string) (string, error)
	remove(ctx context.Context, store string) error
	// size is how large it is, in MB.
	size(ctx context.Context, store string) (float64, error)
	// fill adds jobs of a kind to one that no server has open.
	fill(ctx context.Context, store, kind string, jobs int) (span, error)
	// arguments are what a server is told to use it.
	arguments(store string) []string
}

// Kinds of jobs that a store is filled with.
const (
	kindPending  = "pending"
	kindFinished = "finished"
	kindLanes    = "lanes"
	kindTypes    = "types"    // each of a type of its own
	kindChannels = "channels" // each in a channel of its own
)

// span is the ids of the first and the last of many jobs.
type span struct{ first, last string }

// stores are those that the server is measured on.
func (b *Bench) stores() stores {
	if b.Store == Postgres {
		return databases{b}
	}
	return directories{b}
}

// on is the same benchmark on another kind of store.
func (b *Bench) on(kind string) *Bench {
	other := *b
	other.Store = kind
	return &other
}

// name is what the server is called in figures.
func (b *Bench) name() string {
	if b.Store == Postgres {
		return longshore + "-" + Postgres
	}
	return longshore
}

// fresh makes an empty store. The caller removes it.
func (b *Bench) fresh(ctx context.Context) (string, error) { return b.stores().fresh(ctx) }

// emptyOr makes an empty store, or one that has all that another one has. The caller removes it.
func (b *Bench) emptyOr(ctx context.Context, filled string, full bool) (string, error) {
	if full {
		return b.copyOf(ctx, filled)
	}
	return b.fresh(ctx)
}

// copyOf makes a store with all that another one has. The caller removes it.
func (b *Bench) copyOf(ctx context.Context, store string) (string, error) {
	return b.stores().copyOf(ctx, store)
}

// remover removes a store that no server has open, whatever has become of ctx.
func (b *Bench) remover(ctx context.Context, store string) func() error {
	return func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
		defer cancel()
		return b.stores().remove(ctx, store)
	}
}

// part is so many jobs of a kind.
type part struct {
	kind string
	jobs int
}

// fill makes a store with all these jobs, and returns the ends of those of the last part. The
// caller removes it.
func (b *Bench) fill(ctx context.Context, parts ...part) (store string, ids span, err error) {
	if store, err = b.fresh(ctx); err != nil {
		return "", span{}, err
	}
	for _, p := range parts {
		begin := time.Now()
		if ids, err = b.stores().fill(ctx, store, p.kind, p.jobs); err != nil {
			return "", span{}, closing(err, b.remover(ctx, store))
		}
		b.Say("%s %s jobs in %.1f s", report.Number(float64(p.jobs)), p.kind, time.Since(begin).Seconds())
	}
	return store, ids, nil
}
