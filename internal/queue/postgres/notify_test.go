package postgres

import (
	"testing"
	"time"

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
