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
// dropped each time that such a while has passed. The zero value is ready for use.
type Rates struct {
	mu     sync.Mutex    // guards all below
	fills  time.Duration // how long an empty bucket takes at the lowest rate that anybody had
	turned time.Time     // when newer was begun
	newer  map[string]*bucket
	older  map[string]*bucket
	others bucket
}

// bucket is full if it has no time.
type bucket struct {
	tokens float64
	at     time.Time // when it had so many
}

// Take lets the caller of that name do it once more, and returns 0; or how long they have to wait
// before they may. perSecond is how often a second they may, 0 for as often as they like. Somebody
// who was silent may do as much as a second brings at once, but once at least.
func (r *Rates) Take(name string, perSecond float64, now time.Time) time.Duration {
	if perSecond <= 0 {
		return 0
	}
	burst := max(1, perSecond)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fills = max(r.fills, seconds(burst/perSecond))
	if now.Sub(r.turned) >= r.fills {
		r.older, r.newer = r.newer, make(map[string]*bucket)
		if now.Sub(r.turned) >= 2*r.fills {
			r.older = nil // all of them are full
		}
		r.turned = now
	}
	b := r.bucket(name)
	if passed := now.Sub(b.at); passed > 0 {
		b.tokens += passed.Seconds() * perSecond
		b.at = now
	}
	b.tokens = min(burst, b.tokens) // also if the same caller had more with another credential
	if b.tokens >= 1 {
		b.tokens--
		return 0
	}
	return max(1, seconds((1-b.tokens)/perSecond))
}

// bucket returns the bucket of a caller. r.mu is held.
func (r *Rates) bucket(name string) *bucket {
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
		b = new(bucket)
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
