package embedded

import (
	"encoding/hex"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// What was written before it was kept who asked for a lease is read, and written as it was.
func TestWhatNamesNoPrincipalIsWrittenAsItWasBefore(t *testing.T) {
	t.Parallel()
	var (
		id    = uuid.MustParse("01933a6e-7b3a-7c3e-9d2f-2f6f4c1a0b03")
		token = uuid.MustParse("5b0b8f6c-8a55-4d1f-9c0e-2a8c3b1f7d10")
		then  = time.UnixMicro(1).UTC()
	)
	a := attempt{token: token, Attempt: queue.Attempt{
		Number: 3, Worker: "w", Started: then, Ended: then, End: queue.EndReported, State: queue.Pending,
		Error: &queue.JobError{Reason: "x"},
	}}
	require.Equal(t, "5b0b8f6c8a554d1f9c0e2a8c3b1f7d10"+"03"+"0177"+"02"+"02"+"01"+"03"+"01"+"0178", hex.EncodeToString(a.encode(nil)))
	again, err := decodeAttempt(id, a.encode(nil))
	require.NoError(t, err)
	require.Equal(t, a, again)
	a.Principal, a.Error = "key:w", nil
	again, err = decodeAttempt(id, a.encode(nil))
	require.NoError(t, err)
	require.Equal(t, a, again)

	r := record{
		Record: queue.Record{State: queue.Running, Attempt: 1, Version: 2, Queued: then, Started: then, Token: token, Worker: "w"},
		lane:   5, counted: queue.Running,
	}
	require.Equal(t, "02"+"04"+"05"+"02"+"02"+"5b0b8f6c8a554d1f9c0e2a8c3b1f7d10"+"00"+"01"+"02"+"0177", hex.EncodeToString(r.encode(nil)))
	read, err := decodeRecord(id, r.encode(nil))
	require.NoError(t, err)
	require.Equal(t, r, read)
	r.Principal, r.Priority = "key:w", -1
	read, err = decodeRecord(id, r.encode(nil))
	require.NoError(t, err)
	require.Equal(t, r, read)
}
