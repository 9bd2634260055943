package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

func TestACloseGivesUpOnADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	for name, takeAway := range map[string]func(*proxy) (comesBack func()){
		"it refuses": func(p *proxy) func() {
			p.refuse(true)
			p.cutAll()
			return func() {}
		},
		"it is silent": (*proxy).silent,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, dsn := through(t, migrated(t, pgtest.Database(t)))
			limits := defaultLimits()
			limits.closing = 100 * time.Millisecond
			s, err := open(t.Context(), dsn, Options{Logger: newCalmLog(t)}, limits)
			require.NoError(t, err)
			add(t, s, queue.NewJob{Type: "held"})
			l := take(t, s, "held")
			got := takeLater(t, s, "later")
			comesBack := takeAway(p)
			t.Cleanup(comesBack)
			calls := make(chan error, 3)
			go func() {
				_, err := s.Enqueue(context.Background(), []queue.NewJob{{Type: "new"}})
				calls <- err
			}()
			go func() {
				_, err := s.RequeueOrFinishJob(context.Background(), l.Token, 0, queue.Outcome{})
				calls <- err
			}()
			go func() { calls <- s.CancelJob(context.Background(), l.JobID) }()
			closed := make(chan error, 1)
			began := time.Now()
			go func() { closed <- s.Close() }()
			for range 3 {
				require.ErrorIs(t, get(t, calls), queue.ErrUnavailable)
			}
			require.ErrorIs(t, get(t, got).err, queue.ErrUnavailable)
			require.Less(t, time.Since(began), patience/2, "the statements were not given up")
			comesBack() // pgx says goodbye, for some seconds at most
			require.NoError(t, get(t, closed))
		})
	}
}
