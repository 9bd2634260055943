package limit

import (
	"math"
	"sync"
	"time"
)

// mostBuckets is how many callers have a bucket of their own at most. Those that come later share
// one until some of the others have been away for long enough.
const mostBuckets = 20_000

// Rates bounds how often each of many callers may do something. Each has a bucket, which holds
// what one second brings; one that has not called for as long as an empty bucket takes to fill is
// as one that never called, and is forgotten. So two maps will do, of which the older one is
// dropped each time that such a while has passed.
type Rates struct {
	perSecond float64
	burst     float64
	fills     time.Duration // how long an empty bucket takes

	mu     sync.Mutex // guards all below
	turned time.Time  // when newer was begun
	newer  map[string]*bucket
	older  map[string]*bucket
	others bucket
}

type bucket struct {
	tokens float64
	at     time.Time // when it had so many
}

// NewRates returns Rates of so many times a second, which is more than 0. Somebody who was silent
// may do as much as a second brings at once, but once at least.
func NewRates(perSecond float64) *Rates {
	burst := max(1, perSecond)
	return &Rates{
		perSecond: perSecond, burst: burst, fills: seconds(burst / perSecond),
		newer: make(map[string]*bucket), others: bucket{tokens: burst},
	}
}

// Take lets the caller of that name do it once more, and returns 0; or how long they have to wait
// before they may.
func (r *Rates) Take(name string, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.turned) >= r.fills {
		r.older, r.newer = r.newer, make(map[string]*bucket)
		if now.Sub(r.turned) >= 2*r.fills {
			r.older = nil // all of them are full
		}
		r.turned = now
	}
	b := r.bucket(name, now)
	if passed := now.Sub(b.at); passed > 0 {
		b.tokens = min(r.burst, b.tokens+passed.Seconds()*r.perSecond)
		b.at = now
	}
	if b.tokens >= 1 {
		b.tokens--
		return 0
	}
	return max(1, seconds((1-b.tokens)/r.perSecond))
}

// bucket returns the bucket of a caller. r.mu is held.
func (r *Rates) bucket(name string, now time.Time) *bucket {
	if b := r.newer[name]; b != nil {
		return b
	}
	b := r.older[name]
	switch {
	case b != nil:
		delete(r.older, name)
	case len(r.newer) >= mostBuckets:
		return &r.others
	default:
		b = &bucket{tokens: r.burst, at: now}
	}
	r.newer[name] = b
	return b
}

// seconds is that many of them, as a duration that is never too short.
func seconds(n float64) time.Duration {
	if n >= math.MaxInt64/float64(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(math.Ceil(n * float64(time.Second)))
}
