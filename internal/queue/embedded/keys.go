package embedded

import (
	"encoding/binary"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// The key space. Numbers are big-endian, so that keys sort as numbers do; a lane is its
// channel and its type, each after its length, so that no lane is a prefix of another.
//
//	m <name>                    what the store knows of itself
//	j <job>                     what was given at Enqueue, and the job's place in line
//	s <job>                     the job's record: everything that changes but the outcome; absent
//	                            while the job's ready entry says that it is as it was enqueued
//	o <job>                     the outcome, once the job is over and has one
//	q <lane> <place>         -> job    the ready index: every pending job; and, of one that is as it
//	                            was enqueued, when that was
//	d <job> <place>          -> dependent    the job's dependents, and each one's place
//	l <place>                -> job    the jobs that are running; their records have the tokens
//	e <token>                   leases that are over
//	w <job>                     jobs that are over and whose dependents are still being told
const (
	prefixMeta       = 'm'
	prefixJob        = 'j'
	prefixRecord     = 's'
	prefixOutcome    = 'o'
	prefixReady      = 'q'
	prefixDependent  = 'd'
	prefixRunning    = 'l'
	prefixEndedLease = 'e'
	prefixSettlement = 'w'
)

// What the store knows of itself.
const (
	keyFormat   = string(prefixMeta) + "f" // the version of this layout
	keySequence = string(prefixMeta) + "s" // no place above it was given out
)

// The functions that make keys append to a buffer of the caller's, which may be nil.

// idKey makes the key of one thing that has a UUID.
func idKey(buffer []byte, prefix byte, id uuid.UUID) []byte {
	return append(append(buffer, prefix), id[:]...)
}

// readyPrefix makes what the ready keys of one lane begin with.
func readyPrefix(buffer []byte, lane queue.Lane) []byte {
	buffer = append(buffer, prefixReady, byte(len(lane.Channel)))
	buffer = append(buffer, lane.Channel...)
	buffer = append(buffer, byte(len(lane.Type)))
	return append(buffer, lane.Type...)
}

func readyKey(buffer []byte, lane queue.Lane, place uint64) []byte {
	return binary.BigEndian.AppendUint64(readyPrefix(buffer, lane), place)
}

// laneOfReadyKey is the inverse of readyKey.
func laneOfReadyKey(key []byte) (lane queue.Lane, place uint64, ok bool) {
	channel, rest, ok := cutName(key[1:])
	if !ok {
		return lane, 0, false
	}
	jobType, rest, ok := cutName(rest)
	if !ok || len(rest) != 8 {
		return lane, 0, false
	}
	return queue.Lane{Channel: string(channel), Type: string(jobType)}, binary.BigEndian.Uint64(rest), true
}

func cutName(b []byte) (name, rest []byte, ok bool) {
	if len(b) == 0 || len(b) <= int(b[0]) {
		return nil, nil, false
	}
	end := 1 + int(b[0])
	return b[1:end], b[end:], true
}

func dependentKey(buffer []byte, dependency uuid.UUID, place uint64) []byte {
	return binary.BigEndian.AppendUint64(idKey(buffer, prefixDependent, dependency), place)
}

// runningKey is made of the place, not of the token, so that the keys of jobs that run at the
// same time are neighbours: cheaper to write than random ones.
func runningKey(buffer []byte, place uint64) []byte {
	return binary.BigEndian.AppendUint64(append(buffer, prefixRunning), place)
}

func placeOfDependentKey(key []byte) uint64 { return binary.BigEndian.Uint64(key[len(key)-8:]) }

// after returns the smallest key that is greater than every key with the prefix.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		end[i]++
		if end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
