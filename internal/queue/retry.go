package queue

import (
	"math"
	"time"
)

// RetryPolicy says how often a job is run again after failures that its worker calls
// retryable, and how long to wait in between.
type RetryPolicy struct {
	// MaxAttempts is how many failures a job may report; the last of them fails it. 1 never
	// runs it again. Leases that ended in another way do not count.
	MaxAttempts uint64
	// Initial is the wait after the first failure. It grows by Factor with each further one,
	// up to Max.
	Initial time.Duration
	Factor  float64
	Max     time.Duration
	// Jitter is the part of a wait that is left to chance, from 0 to 1: the wait is shorter
	// by up to that part, so that jobs which failed together do not return together.
	Jitter float64
}

// Defaults of what a policy leaves open.
const (
	DefaultRetryInitial = time.Second
	DefaultRetryFactor  = 2.0
	DefaultRetryMax     = time.Hour
	DefaultRetryJitter  = 0.2
)

// Delay returns how long to wait after that many failures, counting from 1. random is from 0
// up to, not including, 1. The result is never negative and never above Max, however many
// failures there were.
func (p RetryPolicy) Delay(failures uint64, random float64) time.Duration {
	if failures == 0 || p.Initial <= 0 || p.Max <= 0 {
		return 0
	}
	// In floating point a power that is too large is infinite, and still compares.
	delay := float64(p.Initial) * math.Pow(p.Factor, float64(failures-1))
	if !(delay < float64(p.Max)) {
		delay = float64(p.Max)
	}
	return min(time.Duration(delay*(1-p.Jitter*random)), p.Max)
}
