package postgres

import (
	"net"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// openAll has a store open all the connections that it may have, and leaves them idle.
func openAll(t *testing.T, s *Store) {
	t.Helper()
	most := int(s.pool.Config().MaxConns)
	for int(s.pool.Stat().TotalConns()) < most {
		var (
			mu   sync.Mutex
			held []*pgxpool.Conn
			all  sync.WaitGroup
		)
		for range most {
			all.Go(func() {
				conn, err := s.pool.Acquire(t.Context())
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					held = append(held, conn)
				}
			})
		}
		all.Wait()
		for _, conn := range held {
			conn.Release()
		}
		require.Len(t, held, most)
	}
}

// connected returns both ends of a connection.
func connected(t *testing.T) (here, there net.Conn) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	here, err = new(net.Dialer).DialContext(t.Context(), "tcp4", listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = here.Close() })
	there, err = listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _ = there.Close() })
	return here, there
}

func TestAConnectionIsSilentUntilSomethingComes(t *testing.T) {
	t.Parallel()
	t.Run("a message", func(t *testing.T) {
		t.Parallel()
		here, there := connected(t)
		require.True(t, isSilent(here))
		_, err := there.Write([]byte("x"))
		require.NoError(t, err)
		require.Eventually(t, func() bool { return !isSilent(here) }, soon, tick)
		message := make([]byte, 2)
		n, err := here.Read(message)
		require.NoError(t, err)
		require.Equal(t, "x", string(message[:n]), "nothing was taken")
		require.True(t, isSilent(here))
	})
	t.Run("its end", func(t *testing.T) {
		t.Parallel()
		here, there := connected(t)
		require.NoError(t, there.Close())
		require.Eventually(t, func() bool { return !isSilent(here) }, soon, tick)
	})
	t.Run("while somebody reads", func(t *testing.T) {
		t.Parallel()
		here, there := connected(t)
		reading := make(chan error, 1)
		go func() {
			_, err := here.Read(make([]byte, 1))
			reading <- err
		}()
		for range 100 {
			require.True(t, isSilent(here))
		}
		_, err := there.Write([]byte("x"))
		require.NoError(t, err)
		require.NoError(t, get(t, reading))
	})
}

func TestConnectionsThatWereCutWhileIdleCostNoCaller(t *testing.T) {
	t.Parallel()
	s, p := behindProxy(t)
	openAll(t, s)
	p.cutAll()
	for range 2 * s.pool.Config().MaxConns {
		id := add(t, s, queue.NewJob{Type: "after"})[0]
		l := take(t, s, "after")
		require.Equal(t, id, l.JobID)
		done(t, s, &l)
		_, err := s.JobStatus(t.Context(), id)
		require.NoError(t, err)
	}
}
