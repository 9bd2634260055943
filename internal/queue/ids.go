package queue

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
)

// The id of a job is a UUID of version 7 that is made of when the job was enqueued, to the
// microsecond, and of its place in line. So ids sort as jobs were enqueued, also those of one call,
// and a span of time is a range of ids. What is left of it is random, so that ids of several
// stores do not meet. (RFC 9562, section 6.2, methods 1 and 3.)
const (
	placeBits  = 24
	randomBits = 62 - placeBits
)

// NewID makes the id of a job that is enqueued at a time, and has a place in line.
func NewID(at time.Time, place uint64) uuid.UUID {
	id := FirstID(at)
	low := (place&(1<<placeBits-1))<<randomBits | rand.Uint64()>>(64-randomBits) //nolint:gosec // not secret
	binary.BigEndian.PutUint64(id[8:], 2<<62|low)
	return id
}

// FirstID returns an id that is not above that of any job enqueued at the time or later, and
// above that of every job enqueued earlier.
func FirstID(at time.Time) (id uuid.UUID) {
	micros := max(at.UnixMicro(), 0)
	fraction := uint64(micros%1000) << 12 / 1000
	binary.BigEndian.PutUint64(id[:], uint64(micros/1000)<<16|7<<12|fraction)
	id[8] = 2 << 6
	return id
}
