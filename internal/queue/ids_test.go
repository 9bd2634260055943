package queue_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

func TestIdsSortAsJobsWereEnqueued(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 25, 8, 0, 0, 998_000, time.UTC)
	var before uuid.UUID
	place := uint64(1<<24 - 2_000_000)
	for range 5 {
		require.Negative(t, bytes.Compare(before[:], firstIDOf(at)))
		for range 3 {
			place += 1 << 16 // as a restart may skip
			id := queue.NewID(at, place)
			require.Equal(t, uuid.Version(7), id.Version())
			require.Equal(t, uuid.RFC4122, id.Variant())
			require.Negative(t, bytes.Compare(before[:], id[:]))
			require.LessOrEqual(t, bytes.Compare(firstIDOf(at), id[:]), 0)
			seconds, nanos := id.Time().UnixTime()
			require.Equal(t, at.Truncate(time.Millisecond), time.Unix(seconds, nanos).UTC().Truncate(time.Millisecond))
			before = id
		}
		at = at.Add(time.Microsecond)
	}
}

func firstIDOf(at time.Time) []byte {
	id := queue.FirstID(at)
	return id[:]
}
