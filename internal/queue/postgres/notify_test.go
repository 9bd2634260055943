package postgres

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

// A firewall that drops what a connection sends tells neither side.
func TestAConnectionThatListensAndIsLostWithoutAWordIsReplaced(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	p, address := through(t, dsn)
	limits := defaultLimits()
	limits.listenCheck = 200 * time.Millisecond
	from := openServer(t, dsn, Options{PollInterval: time.Hour})
	to, err := open(t.Context(), address, Options{Logger: newCalmLog(t), PollInterval: time.Hour}, limits)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, to.Close()) })
	awaitListening(t, to)
	speak := p.silent()
	t.Cleanup(speak)
	require.Eventually(t, func() bool { return to.Stats().Deaf }, soon, tick, "it is believed to be there")
	p.cutAll() // what was sent meanwhile is lost
	speak()
	awaitListening(t, to)
	requireWoken(t, from, to)
}

// A server may get no connection to listen with, because its database has none left, while those work that it has.
func TestAServerThatCannotListenLooksAtEverythingOncePerConnectionThatItLoses(t *testing.T) {
	t.Parallel()
	dsn := migrated(t, pgtest.Database(t))
	s := openServer(t, dsn, Options{NoListen: true, PollInterval: time.Hour})
	config, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	var conn atomic.Pointer[net.Conn]
	var refuses atomic.Bool
	var refused atomic.Int32
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if refuses.Load() {
			refused.Add(1)
			return nil, errors.New("there are too many")
		}
		c, err := dial(ctx, network, address)
		conn.Store(&c)
		return c, err
	}
	awaitRefused := func() {
		from := refused.Load()
		require.Eventually(t, func() bool { return refused.Load() >= from+3 }, soon, tick)
	}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan struct{})
	refuses.Store(true)
	go func() {
		defer close(ended)
		s.listen(ctx, config)
	}()
	t.Cleanup(func() {
		end()
		<-ended
	})
	awaitRefused()
	require.Zero(t, s.lanes.lost(), "there was no connection that could be lost")
	refuses.Store(false)
	awaitListening(t, s)
	require.Zero(t, s.lanes.lost(), "there was no connection that could be lost")

	refuses.Store(true)
	require.NoError(t, (*conn.Load()).Close())
	awaitRefused()
	require.Equal(t, 1, s.lanes.lost())
	refuses.Store(false)
	require.Eventually(t, func() bool { return s.lanes.lost() == 2 }, soon, tick, "it minds what was lost until another one listens")
}
