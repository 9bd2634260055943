package queue

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/google/uuid"
)

// End is how a lease ended.
type End uint8

// The ways a lease ends. The zero End is none of them.
const (
	EndReported End = iota + 1 // its holder reported an outcome
	EndLost                    // its holder went silent
	EndReleased                // its holder gave the job back
	EndCanceled                // the job was canceled under it
)

// EndedLease is what is remembered of a lease that is over, for as long as its job is kept:
// it lets a report that is repeated, because its answer was lost, be answered the same.
type EndedLease struct {
	JobID   uuid.UUID
	Attempt uint64
	End     End
	State   State             // the job's state that the end led to
	Digest  [sha256.Size]byte // of the outcome, if End is EndReported
}

// Report answers an outcome that arrives when the lease is over already: the state that the
// same report led to before, or why it is refused.
func (l EndedLease) Report(outcome Outcome) (State, error) {
	switch l.End {
	case EndReported:
		if l.Digest == outcome.Digest() {
			return l.State, nil
		}
		return 0, ErrAlreadyReported
	case EndCanceled:
		return 0, ErrCanceled
	default:
		return 0, ErrLeaseLost
	}
}

// Release answers a release that arrives when the lease is over already. A lease whose job
// was canceled has nothing to give back, which is no error.
func (l EndedLease) Release() (State, error) {
	switch l.End {
	case EndReleased, EndCanceled:
		return l.State, nil
	default:
		return 0, ErrLeaseLost
	}
}

// Beat answers a heartbeat that arrives when the lease is over already: whether that is
// because the job was canceled, or ErrLeaseLost.
func (l EndedLease) Beat() (canceled bool, err error) {
	if l.End == EndCanceled {
		return true, nil
	}
	return false, ErrLeaseLost
}

// Digest tells outcomes apart, without keeping them. Two are the same if every byte is; no
// result is null.
func (o Outcome) Digest() [sha256.Size]byte {
	h := sha256.New()
	part := func(b []byte) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(b)))
		h.Write(size[:])
		h.Write(b)
	}
	if o.Error == nil {
		part([]byte("result"))
		if len(o.Result) == 0 {
			part([]byte("null"))
		} else {
			part(o.Result)
		}
	} else {
		part([]byte("error"))
		part([]byte(o.Error.Reason))
		part(o.Error.Details)
	}
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return sum
}
