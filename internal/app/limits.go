package app

import (
	"fmt"
	"math"
	"net"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/limit"
	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	// leastMemory is the smallest MemoryLimit that a server can work with, in bytes.
	leastMemory = 64 << 20
	// partForLong is which part of the memory limit long requests may take, and long answers and long results as well: an engine holds
	// the jobs of one two or three times more while it adds them.
	partForLong = 16
	// ownFiles is how many files a server may want to have open besides its connections: a store on
	// disk has up to 1,000.
	ownFiles = 1100
	// countsKnown is how long the counts of a database are taken for true where a call creates jobs:
	// to ask for each call would be most of its work.
	countsKnown = time.Second
	// refusedEvery is how often the log tells that connections are closed for being too many.
	refusedEvery = 10 * time.Second
)

// validateLimits returns an *OptionError for the first bound that makes no sense.
func (o Options) validateLimits() error {
	for _, n := range []struct {
		option string
		value  int64
	}{
		{"MaxConnections", int64(o.MaxConnections)},
		{"MaxWaiting", int64(o.MaxWaiting)},
		{"MaxWaitingPerCredential", int64(o.MaxWaitingPerCredential)},
		{"QuotaJobs", o.QuotaJobs},
		{"QuotaBytes", o.QuotaBytes},
	} {
		if n.value < 0 {
			return &OptionError{n.option, fmt.Sprintf("must not be negative: %d", n.value)}
		}
	}
	if o.RateLimit != 0 && (math.IsNaN(o.RateLimit) || o.RateLimit < 0.001 || o.RateLimit > 1e6) {
		return &OptionError{"RateLimit", fmt.Sprintf("must be 0, or from 0.001 to 1000000, not %g", o.RateLimit)}
	}
	if o.MemoryLimit != 0 && o.MemoryLimit < leastMemory {
		return &OptionError{"MemoryLimit", fmt.Sprintf("must be 0, or %d or more, not %d", leastMemory, o.MemoryLimit)}
	}
	if memory := debug.SetMemoryLimit(-1); o.MemoryLimit == 0 && memory < leastMemory {
		return &OptionError{"MemoryLimit", fmt.Sprintf("must be %d or more; the variable GOMEMLIMIT says %d", leastMemory, memory)}
	}
	return nil
}

// limits are the bounds of the API.
func (a *App) limits() api.Limits {
	limits := api.Limits{
		RequestsPerSecond: a.options.RateLimit,
		Waiting:           a.options.MaxWaiting,
		WaitingEach:       a.options.MaxWaitingPerCredential,
		Open:              queue.Amount{Jobs: a.options.QuotaJobs, Bytes: a.options.QuotaBytes},
	}
	if IsDatabase(a.options.Store) {
		limits.OpenKnown = countsKnown
	}
	if memory := a.memoryLimit(); memory > 0 {
		limits.Memory = limit.NewMemory(memory, limit.Used, runtime.GC)
		limits.Bodies, limits.Answers = limit.NewRoom(memory/partForLong), limit.NewRoom(memory/partForLong)
		limits.Results = limit.NewRoom(memory / partForLong)
	}
	return limits
}

// memoryLimit is how much memory the process should use, in bytes, as the options or GOMEMLIMIT say, and makes it so; 0 for
// as much as there is.
func (a *App) memoryLimit() int64 {
	if a.options.MemoryLimit > 0 {
		debug.SetMemoryLimit(a.options.MemoryLimit)
	}
	if memory := debug.SetMemoryLimit(-1); memory < math.MaxInt64 {
		return memory
	}
	return 0
}

// bounded is the listener with no more connections than there may be.
func (a *App) bounded(l net.Listener) net.Listener {
	most := a.options.MaxConnections
	if files, known := openFiles(); known {
		left := max(1, files-min(ownFiles, files/2))
		if most > left {
			a.log.WithFields(logrus.Fields{"connections": left, "open_files": files}).
				Warn("the limit of open files leaves fewer connections than --max-connections")
		}
		if most == 0 || most > left {
			most = left
		}
	}
	if most == 0 {
		return l
	}
	return &boundedListener{Listener: l, conns: &a.conns, most: most, log: a.log, limited: a.limited}
}

// limited counts a connection that is closed for being too many.
func (a *App) limited() {
	if a.metrics != nil {
		a.metrics.Requests.Limited("connections")
	}
}

// boundedListener closes connections that are too many as they come. It does not stop accepting them,
// as netutil.LimitListener does: those would wait in the kernel's queue, where neither they nor
// a load balancer in front learn that they should go elsewhere.
type boundedListener struct {
	net.Listener
	conns *connections
	most  int
	log   *logrus.Logger
	// limited is called for each connection that is closed.
	limited func()

	// Only Accept looks at these, which one goroutine calls.
	refused int       // since it was logged
	logged  time.Time // when it was
}

// Accept is as for net.Listener.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		// http.Server tells of each connection before it accepts the next one.
		if l.conns.count() < l.most {
			return conn, nil
		}
		l.refuse(time.Now())
		_ = conn.Close()
	}
}

// refuse counts a connection that was closed, and logs it now and then.
func (l *boundedListener) refuse(now time.Time) {
	l.refused++
	l.limited()
	if now.Sub(l.logged) < refusedEvery {
		return
	}
	l.log.WithFields(logrus.Fields{"refused": l.refused, "connections": l.most}).Warn("too many connections; new ones are closed")
	l.refused, l.logged = 0, now
}
