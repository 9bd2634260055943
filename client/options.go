package client

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// WorkerOptions are the settings of a Worker. Only Handlers is required.
type WorkerOptions struct {
	// Handlers say what to do with each type of job: 1 to 64.
	Handlers map[string]Handler
	// Channels are where to look for jobs, at most 64; none is the channel "default".
	Channels []string
	// Name tells people who runs a job, at most 128 bytes. It is not a credential.
	Name string
	// Concurrency is how many jobs run at once; 0 is 1. A worker of more than one asks for as
	// many jobs at once as it can run, sends the reports of runs that end within the same few
	// milliseconds together, with the request for the next jobs, and also their heartbeats.
	Concurrency int
	// Pollers is how many requests for jobs wait at once, while that many slots are free, each
	// for its share of them; 0 is 1. Reports do not wait for any of them.
	Pollers int
	// PollWait is how long a request for a job is held back at most; 0 is 30 s.
	PollWait time.Duration
	// DrainTimeout is how long running jobs may go on after Run was told to stop; 0 is
	// 30 s, less than 0 is not at all.
	DrainTimeout time.Duration
	// StopGrace is how long handlers may take to return after the drain timeout ended their
	// contexts; 0 is 10 s. Jobs whose handlers have not returned by then are given back
	// nevertheless.
	StopGrace time.Duration
	// RequestTimeout bounds each request, on top of what a poll waits; 0 is 30 s.
	RequestTimeout time.Duration
	// ReportTimeout is how long a report is repeated while the server cannot be reached;
	// 0 is one hour. A run is given up after that, and only then: while its handler works,
	// no silence of the server ends it. It also bounds the adoption of a lease.
	ReportTimeout time.Duration
	// MinBackoff and MaxBackoff bound the pauses between failed requests; 0 are 200 ms and
	// 30 s.
	MinBackoff, MaxBackoff time.Duration
	// Tokens keeps the tokens of live leases, for a later process to adopt; nil is nothing
	// kept. No two workers may share one.
	Tokens TokenStore
	// Logger is told what goes wrong; nil is nobody. It is never told a token.
	Logger Logger
}

// Logger is what a Worker tells of its work. keysAndValues are pairs of a field's name and its
// value. It must be safe for concurrent use, and must not block for long.
type Logger interface {
	// Info tells what an operator may want to know.
	Info(msg string, keysAndValues ...string)
	// Error tells what an operator must know. err may be nil.
	Error(err error, msg string, keysAndValues ...string)
}

// silence is the Logger of a worker without one.
type silence struct{}

func (silence) Info(string, ...string)         {}
func (silence) Error(error, string, ...string) {}

// Limits that the contract sets.
const (
	maxNames       = 64
	maxNameLength  = 128
	maxConcurrency = 10_000
)

func (o WorkerOptions) validate() error {
	if len(o.Handlers) == 0 || len(o.Handlers) > maxNames {
		return fmt.Errorf("a worker needs handlers of 1 to %d types, not %d", maxNames, len(o.Handlers))
	}
	for name, handle := range o.Handlers {
		if !validName(name) {
			return fmt.Errorf("%q is not a type of job", name)
		}
		if handle == nil {
			return fmt.Errorf("the handler of type %q is nil", name)
		}
	}
	if len(o.Channels) > maxNames {
		return fmt.Errorf("a worker looks in at most %d channels, not %d", maxNames, len(o.Channels))
	}
	for _, name := range o.Channels {
		if !validName(name) {
			return fmt.Errorf("%q is not a channel", name)
		}
	}
	if len(o.Name) > maxNameLength || !utf8.ValidString(o.Name) {
		return fmt.Errorf("a worker's name is UTF-8 text of at most %d bytes", maxNameLength)
	}
	if o.Concurrency < 0 || o.Concurrency > maxConcurrency {
		return fmt.Errorf("concurrency must be from 1 to %d, not %d", maxConcurrency, o.Concurrency)
	}
	return nil
}

// validName holds types and channels to the contract's alphabet.
func validName(name string) bool {
	if name == "" || len(name) > maxNameLength {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == ':' || c == '/' || c == '@' || c == '+' || c == '-'):
		default:
			return false
		}
	}
	return true
}

func (o WorkerOptions) withDefaults() WorkerOptions {
	o.Concurrency = max(o.Concurrency, 1)
	o.Pollers = min(max(o.Pollers, 1), o.Concurrency)
	orElse := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	orElse(&o.PollWait, 30*time.Second)
	if o.DrainTimeout == 0 {
		o.DrainTimeout = 30 * time.Second
	}
	orElse(&o.StopGrace, 10*time.Second)
	orElse(&o.RequestTimeout, 30*time.Second)
	orElse(&o.ReportTimeout, time.Hour)
	orElse(&o.MinBackoff, 200*time.Millisecond)
	orElse(&o.MaxBackoff, 30*time.Second)
	o.MaxBackoff = max(o.MaxBackoff, o.MinBackoff)
	if o.Tokens == nil {
		o.Tokens = noTokens{}
	}
	if o.Logger == nil {
		o.Logger = silence{}
	}
	return o
}
