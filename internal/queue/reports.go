package queue

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

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
	EndTimedOut                // its run took too long
)

// String returns the name of the end on the wire.
func (e End) String() string {
	switch e {
	case EndReported:
		return "reported"
	case EndLost:
		return "lost"
	case EndReleased:
		return "released"
	case EndCanceled:
		return "canceled"
	case EndTimedOut:
		return "timed-out"
	default:
		return "invalid"
	}
}

// EndedLease is what is remembered of a lease that is over, for as long as its job is kept:
// it lets a report that is repeated, because its answer was lost, be answered the same.
type EndedLease struct {
	JobID   uuid.UUID
	Attempt uint64
	End     End
	State   State             // the job's state that the end led to
	Digest  [sha256.Size]byte // of what was reported, if End is EndReported
}

// Report answers a report, of which digest is the Digest, that arrives when the lease is over
// already: the state that the same report led to before, or why it is refused.
func (l EndedLease) Report(digest [sha256.Size]byte) (State, error) {
	switch l.End {
	case EndReported:
		if l.Digest == digest {
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
	if o.Error != nil {
		return Failure{Error: *o.Error}.Digest()
	}
	d := digest{sha256.New()}
	d.part([]byte("result"))
	if len(o.Result) == 0 {
		d.part([]byte("null"))
	} else {
		d.part(o.Result)
	}
	return d.sum()
}

// Digest tells failures apart, in the same way. One that is not retryable has the digest of
// its error as an Outcome.
func (f Failure) Digest() [sha256.Size]byte {
	d := digest{sha256.New()}
	d.part([]byte("error"))
	d.part([]byte(f.Error.Reason))
	d.part(f.Error.Details)
	if f.Retryable {
		d.part([]byte("retryable"))
	}
	if f.RetryAfter != nil {
		d.part(binary.BigEndian.AppendUint64(nil, uint64(*f.RetryAfter)))
	}
	return d.sum()
}

// digest hashes parts, each after its length, so that no two lists of parts are alike.
type digest struct{ hash.Hash }

func (d digest) part(b []byte) {
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(b)))
	d.Write(size[:])
	d.Write(b)
}

func (d digest) sum() (sum [sha256.Size]byte) {
	d.Sum(sum[:0])
	return sum
}
