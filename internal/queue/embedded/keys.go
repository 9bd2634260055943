package embedded

import (
	"cmp"
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
//	q <lane> <rank> <place>  -> job    the ready index: every pending job; and, of one that is as
//	                            it was enqueued, when that was
//	d <job> <place>          -> dependent    the job's dependents, and each one's place
//	l <place>                -> job    the jobs that are running; their records have the tokens
//	e <token>                   leases that are over
//	w <job> <generation>        jobs that are over and whose dependents are still being told
//	v <root> <job>              jobs whose dependents are being revived, because of a retry
//	p <job>                     what the newest lease's worker has reported so far
//	u <lane> <unique key>    -> job    jobs that are not over and have a unique key
//	f <job>                     jobs that failed or were canceled
//	y <job>                     jobs that were deleted, and that dependents still need
//	a <job> <attempt>           leases that ended before their job did
//	c <lane>                    the lane's number, how many jobs it has in each state, and how large the
//	                            args are of those that are not over
//	t <time> <kind> <what>      what falls due: jobs that wait or expire, keys to be forgotten
//	i <key's hash>              calls that were made with an idempotency key
//	k <key's id>                API keys
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
	prefixRevival    = 'v'
	prefixReported   = 'p'
	prefixUnique     = 'u'
	prefixDead       = 'f'
	prefixHidden     = 'y'
	prefixAttempt    = 'a'
	prefixTally      = 'c'
	prefixDue        = 't'
	prefixOnce       = 'i'
	prefixAPIKey     = 'k'
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

// laneKey makes what the keys of one lane begin with.
func laneKey(buffer []byte, prefix byte, lane queue.Lane) []byte {
	buffer = append(buffer, prefix, byte(len(lane.Channel)))
	buffer = append(buffer, lane.Channel...)
	buffer = append(buffer, byte(len(lane.Type)))
	return append(buffer, lane.Type...)
}

// position is where a job stands in the line of its lane: the lowest is first.
type position struct {
	rank  uint8  // 0 for the highest priority
	place uint64 // when the job was enqueued, and for as long as it exists
}

func positionOf(priority int, place uint64) position {
	return position{rank: uint8(queue.MaxPriority - priority), place: place}
}

func (p position) priority() int { return queue.MaxPriority - int(p.rank) }

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.rank, q.rank), cmp.Compare(p.place, q.place))
}

func readyKey(buffer []byte, lane queue.Lane, at position) []byte {
	return binary.BigEndian.AppendUint64(append(laneKey(buffer, prefixReady, lane), at.rank), at.place)
}

// laneOfReadyKey is the inverse of readyKey.
func laneOfReadyKey(key []byte) (lane queue.Lane, at position, ok bool) {
	lane, rest, ok := cutLane(key)
	if !ok || len(rest) != 9 {
		return queue.Lane{}, position{}, false
	}
	return lane, position{rank: rest[0], place: binary.BigEndian.Uint64(rest[1:])}, true
}

// laneOfTallyKey returns the lane whose counts the key stands for.
func laneOfTallyKey(key []byte) (queue.Lane, bool) {
	lane, rest, ok := cutLane(key)
	return lane, ok && len(rest) == 0
}

// cutLane is the inverse of laneKey; rest is what follows.
func cutLane(key []byte) (lane queue.Lane, rest []byte, ok bool) {
	channel, rest, ok := cutName(key[1:])
	if !ok {
		return lane, nil, false
	}
	jobType, rest, ok := cutName(rest)
	return queue.Lane{Channel: string(channel), Type: string(jobType)}, rest, ok
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

func attemptKey(buffer []byte, id uuid.UUID, attempt uint64) []byte {
	return binary.BigEndian.AppendUint64(idKey(buffer, prefixAttempt, id), attempt)
}

func settlementKey(buffer []byte, id uuid.UUID, generation uint64) []byte {
	return binary.BigEndian.AppendUint64(idKey(buffer, prefixSettlement, id), generation)
}

func uniqueKey(buffer []byte, lane queue.Lane, key string) []byte {
	return append(laneKey(buffer, prefixUnique, lane), key...)
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
