package queue

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	// MaxOpen is how many open dependencies an Explanation names.
	MaxOpen = 100
	// MaxAhead is how many jobs are counted that stand before one in line.
	MaxAhead = 10_000
)

// Explanation says why a job is not running, or what else it does.
type Explanation struct {
	Status Status // without its result and its dependents
	Now    time.Time
	// Open are the dependencies that are not over, MaxOpen at most, and OpenAll how many there
	// are.
	Open    []uuid.UUID
	OpenAll int
	Expires time.Time // when it fails if nobody has begun it; zero if it does not
	// Ahead is how many pending jobs of its lane stand before it, if it is Pending. MaxAhead may
	// be more.
	Ahead  int
	Askers Askers    // who asked for jobs of its lane
	Last   *Attempt  // its newest lease; nil if it had none
	Beat   time.Time // the last heartbeat of a job that is Running
	Lane   Lane
}

// Askers are the workers that asked for jobs of a lane within WorkerMemory.
type Askers struct {
	Workers int       // how many there are
	Waiting int       // how many of their calls wait
	Last    time.Time // when one of them asked last; zero if none has
}

// Reason is what keeps a job from running, as a word for programs.
type Reason string

// The reasons of an Explanation.
const (
	ReasonDependencies Reason = "dependencies" // it waits for jobs that it depends on
	ReasonNotYet       Reason = "not-yet"      // it waits for its run_at
	ReasonRetry        Reason = "retry"        // it waits for its next attempt
	ReasonInLine       Reason = "in-line"      // it waits for its turn
	ReasonNoWorker     Reason = "no-worker"    // nobody asked for such a job lately
	ReasonIsExpired    Reason = "expired"      // it is about to fail
	ReasonIsRunning    Reason = "running"
	ReasonIsOver       Reason = "over"
)

// Reason returns the reason.
func (e *Explanation) Reason() Reason {
	switch s := e.Status.State; {
	case s.Over():
		return ReasonIsOver
	case s == Running:
		return ReasonIsRunning
	case !e.Expires.IsZero() && !e.Expires.After(e.Now):
		return ReasonIsExpired
	case s == Blocked:
		return ReasonDependencies
	case s == Scheduled && e.Last != nil:
		return ReasonRetry
	case s == Scheduled:
		return ReasonNotYet
	case e.Askers.Workers == 0:
		return ReasonNoWorker
	default:
		return ReasonInLine
	}
}

// Sentence says it for people.
func (e *Explanation) Sentence() string {
	var b strings.Builder
	say := func(format string, a ...any) { fmt.Fprintf(&b, format, a...) }
	switch e.Reason() {
	case ReasonIsOver:
		say("It is over: it %s %s.", verbOf(e.Status.State), ago(e.Now, e.Status.Finished))
		if e.Status.Error != nil {
			say(" The reason is %q.", e.Status.Error.Reason)
		}
	case ReasonIsRunning:
		say("%s has been running it since %s, as attempt %d; its last heartbeat came %s.",
			workerOf(e.Status.Worker), at(e.Status.Started), e.Status.Attempt, ago(e.Now, e.Beat))
	case ReasonIsExpired:
		say("It expired at %s, and is about to fail.", at(e.Expires))
	case ReasonDependencies:
		if e.OpenAll == 0 {
			say("What it depends on is over, and it is about to be told.")
			break
		}
		say("It waits for %s that it depends on to be over.", several(e.OpenAll, "job"))
	case ReasonNotYet:
		say("It is not to run before %s, which is in %s.", at(e.Status.RunAt), span(e.Status.RunAt.Sub(e.Now)))
	case ReasonRetry:
		say("It waits until %s, which is in %s, for its next attempt.", at(e.Status.RunAt), span(e.Status.RunAt.Sub(e.Now)))
	case ReasonNoWorker:
		say("It is ready, but no worker has asked for type %s in channel %s within the last hour.", e.Lane.Type, e.Lane.Channel)
	case ReasonInLine:
		say("It is ready, and %s before it in line. %s asked for type %s in channel %s within the last hour, the last one %s.",
			e.ahead(), several(e.Askers.Workers, "worker"), e.Lane.Type, e.Lane.Channel, ago(e.Now, e.Askers.Last))
	}
	if last := e.Last; last != nil && e.Status.State.Waiting() {
		say(" Attempt %d %s", last.Number, endedBy(last.End))
		if last.Error != nil {
			say(": %q", last.Error.Reason)
		}
		say(".")
	}
	return b.String()
}

func (e *Explanation) ahead() string {
	switch {
	case e.Ahead == 0:
		return "nobody stands"
	case e.Ahead == 1:
		return "one job stands"
	case e.Ahead >= MaxAhead:
		return fmt.Sprintf("%d jobs or more stand", MaxAhead)
	default:
		return fmt.Sprintf("%d jobs stand", e.Ahead)
	}
}

func verbOf(over State) string {
	if over == Canceled {
		return "was canceled"
	}
	return over.String()
}

func endedBy(end End) string {
	switch end {
	case EndLost:
		return "ended because its worker went silent"
	case EndReleased:
		return "was given back by its worker"
	case EndCanceled:
		return "was canceled"
	case EndTimedOut:
		return "took too long"
	default:
		return "failed"
	}
}

func workerOf(name string) string {
	if name == "" {
		return "A worker without a name"
	}
	return "Worker " + name
}

func several(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func at(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func ago(now, then time.Time) string { return span(now.Sub(then)) + " ago" }

// span is a time for people: whole seconds, and nothing is shorter than one.
func span(d time.Duration) string { return max(d, time.Second).Round(time.Second).String() }
