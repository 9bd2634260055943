package limit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/longshore-queue/longshore/internal/queue"
)

// manyChannels is how many channels are remembered before those are forgotten that nobody adds to.
const manyChannels = 1024

// Quota bounds how much each channel has of jobs that are not over: how many, and how large their args
// are together.
//
// A call reserves what it is about to add, asks the store how much there is, and adds up: whoever
// adds at the same time is in the store by then, or has reserved. So a server never lets in more
// than the limit; close to it, it may refuse a call because of another that comes to nothing.
// Where asking is dear, what the store said is good for a while, and other servers may add to the
// channel meanwhile.
type Quota struct {
	most  queue.Amount  // 0 is no bound
	good  time.Duration // for how long what the store said is taken for true
	count func(ctx context.Context, channels []string) (map[string]queue.Amount, error)

	mu       sync.Mutex // guards all below
	channels map[string]*channelUse
	many     int // channels, at which some are to be forgotten
}

// channelUse is what is known of one channel.
type channelUse struct {
	stored   queue.Amount // when the store was asked
	asked    time.Time    // just before that; zero if it was not
	since    queue.Amount // reserved, and perhaps not counted by the store then
	reserved queue.Amount // that is being added
	added    queue.Amount // that was, ever
}

// QuotaError says which channel is full, and of what.
type QuotaError struct {
	Channel string
	Limit   int64 // of jobs, or of bytes
	Bytes   bool  // that the limit is of bytes
}

func (e *QuotaError) Error() string {
	of := "jobs"
	if e.Bytes {
		of = "bytes of args in jobs"
	}
	return fmt.Sprintf("channel %s may have %d %s that are not over", e.Channel, e.Limit, of)
}

// NewQuota returns a Quota of so much in each channel; 0 jobs or 0 bytes is no bound of them. count
// returns how much each of the channels has; what it returns is good for the given time. Bytes that
// it does not know count as none.
func NewQuota(most queue.Amount, good time.Duration, count func(ctx context.Context, channels []string) (map[string]queue.Amount, error)) *Quota {
	return &Quota{most: most, good: good, count: count, channels: make(map[string]*channelUse), many: manyChannels}
}

// Limit is how much a channel may have; 0 is no bound.
func (q *Quota) Limit() queue.Amount { return q.most }

// Reserve makes room for so much in each channel, all or none. When it returns nil, Release is to
// be called once it was added, or not. *QuotaError; the errors of count.
func (q *Quota) Reserve(ctx context.Context, wanted map[string]queue.Amount, now time.Time) error {
	if unknown := q.reserve(wanted, now); len(unknown) > 0 {
		stored, err := q.count(ctx, slices.Collect(maps.Keys(unknown)))
		if err != nil {
			q.Release(wanted, nil)
			return err
		}
		q.learn(unknown, stored, now)
	}
	if full := q.over(wanted); full != nil {
		q.Release(wanted, nil)
		return full
	}
	return nil
}

// reserve reserves what is wanted, and returns the channels that the store has to be asked about, each
// with how much was ever added to it.
func (q *Quota) reserve(wanted map[string]queue.Amount, now time.Time) map[string]queue.Amount {
	unknown := make(map[string]queue.Amount)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.forget(now)
	for channel, n := range wanted {
		use := q.channels[channel]
		if use == nil {
			use = &channelUse{}
			q.channels[channel] = use
		}
		use.reserved = use.reserved.Plus(n)
		use.since = use.since.Plus(n)
		if use.asked.IsZero() || now.Sub(use.asked) >= q.good {
			unknown[channel] = use.added
		}
	}
	return unknown
}

// forget drops channels that nobody adds to and of which nothing is known that is still good, if
// there are many: twice as many as were left the last time. q.mu is held.
func (q *Quota) forget(now time.Time) {
	if len(q.channels) < q.many {
		return
	}
	for channel, use := range q.channels {
		if use.reserved == (queue.Amount{}) && now.Sub(use.asked) >= q.good {
			delete(q.channels, channel)
		}
	}
	q.many = max(manyChannels, 2*len(q.channels))
}

// learn notes what the store said, which was asked at the given time, when so much had been added.
// What was added since may have come after the store had counted.
func (q *Quota) learn(added, stored map[string]queue.Amount, asked time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for channel, before := range added {
		use := q.channels[channel] // it is there: this call has reserved
		use.stored, use.asked = stored[channel], asked
		if use.stored.Bytes == queue.UnknownBytes {
			use.stored.Bytes = 0
		}
		use.since = use.reserved.Plus(use.added).Minus(before)
	}
}

// over says which channel has more than it may, the first of them by name; nil if none has.
func (q *Quota) over(wanted map[string]queue.Amount) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, channel := range slices.Sorted(maps.Keys(wanted)) {
		use := q.channels[channel]
		switch n := use.stored.Plus(use.since); {
		case q.most.Jobs > 0 && n.Jobs > q.most.Jobs:
			return &QuotaError{Channel: channel, Limit: q.most.Jobs}
		case q.most.Bytes > 0 && n.Bytes > q.most.Bytes:
			return &QuotaError{Channel: channel, Limit: q.most.Bytes, Bytes: true}
		}
	}
	return nil
}

// Release ends what Reserve began; added is how much of what was wanted was added, or may have been.
func (q *Quota) Release(wanted, added map[string]queue.Amount) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for channel, n := range wanted {
		use := q.channels[channel]
		use.reserved = use.reserved.Minus(n)
		use.added = use.added.Plus(added[channel])
		use.since = use.since.Minus(n).Plus(added[channel])
		if use.reserved == (queue.Amount{}) && q.good == 0 {
			delete(q.channels, channel)
		}
	}
}
