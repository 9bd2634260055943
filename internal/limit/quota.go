package limit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// manyChannels is how many channels are remembered before those are forgotten that nobody adds to.
const manyChannels = 1024

// Quota bounds how many jobs each channel has that are not over.
//
// A call reserves what it is about to add, asks the store how much there is, and adds up: whoever
// adds at the same time is in the store by then, or has reserved. So a server never lets in more
// than the limit; close to it, it may refuse a call because of another that comes to nothing.
// Where asking is dear, what the store said is good for a while, and other servers may add to the
// channel meanwhile.
type Quota struct {
	jobs  int64
	good  time.Duration // for how long what the store said is taken for true
	count func(ctx context.Context, channels []string) (map[string]int64, error)

	mu       sync.Mutex // guards all below
	channels map[string]*channelUse
	many     int // channels, at which some are to be forgotten
}

// channelUse is what is known of one channel.
type channelUse struct {
	stored   int64     // jobs, when the store was asked
	asked    time.Time // just before that; zero if it was not
	since    int64     // jobs reserved that the store may not have counted then
	reserved int64     // jobs that are being added
	added    int64     // jobs that were, ever
}

// QuotaError says which channel is full.
type QuotaError struct {
	Channel string
	Limit   int64 // jobs
}

func (e *QuotaError) Error() string {
	return fmt.Sprintf("channel %s may have %d jobs that are not over", e.Channel, e.Limit)
}

// NewQuota returns a Quota of so many jobs, more than 0, in each channel. count returns how many
// jobs each of the channels has that are not over; what it returns is good for the given time.
func NewQuota(jobs int64, good time.Duration, count func(ctx context.Context, channels []string) (map[string]int64, error)) *Quota {
	return &Quota{jobs: jobs, good: good, count: count, channels: make(map[string]*channelUse), many: manyChannels}
}

// Limit is how many jobs a channel may have.
func (q *Quota) Limit() int64 { return q.jobs }

// Reserve makes room for so many jobs in each channel, all or none. When it returns nil, Release
// is to be called once they were added, or not. *QuotaError; the errors of count.
func (q *Quota) Reserve(ctx context.Context, jobs map[string]int64, now time.Time) error {
	if unknown := q.reserve(jobs, now); len(unknown) > 0 {
		stored, err := q.count(ctx, slices.Collect(maps.Keys(unknown)))
		if err != nil {
			q.Release(jobs, false)
			return err
		}
		q.learn(unknown, stored, now)
	}
	if full := q.over(jobs); full != "" {
		q.Release(jobs, false)
		return &QuotaError{Channel: full, Limit: q.jobs}
	}
	return nil
}

// reserve reserves the jobs, and returns the channels that the store has to be asked about, each
// with how many were ever added to it.
func (q *Quota) reserve(jobs map[string]int64, now time.Time) map[string]int64 {
	unknown := make(map[string]int64)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.forget(now)
	for channel, n := range jobs {
		use := q.channels[channel]
		if use == nil {
			use = &channelUse{}
			q.channels[channel] = use
		}
		use.reserved += n
		use.since += n
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
		if use.reserved == 0 && now.Sub(use.asked) >= q.good {
			delete(q.channels, channel)
		}
	}
	q.many = max(manyChannels, 2*len(q.channels))
}

// learn notes what the store said, which was asked at the given time, when so many jobs had been
// added. Those that were added since may have come after the store had counted.
func (q *Quota) learn(added, stored map[string]int64, asked time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for channel, before := range added {
		use := q.channels[channel] // it is there: this call has reserved
		use.stored, use.asked = stored[channel], asked
		use.since = use.reserved + use.added - before
	}
}

// over returns a channel that has more jobs than it may; "" if none has.
func (q *Quota) over(jobs map[string]int64) string {
	q.mu.Lock()
	defer q.mu.Unlock()
	full := ""
	for channel := range jobs {
		if use := q.channels[channel]; use.stored+use.since > q.jobs && (full == "" || channel < full) {
			full = channel
		}
	}
	return full
}

// Release ends what Reserve began; added tells whether the jobs were added, or may have been.
func (q *Quota) Release(jobs map[string]int64, added bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for channel, n := range jobs {
		use := q.channels[channel]
		use.reserved -= n
		if added {
			use.added += n
		} else {
			use.since -= n
		}
		if use.reserved == 0 && q.good == 0 {
			delete(q.channels, channel)
		}
	}
}
