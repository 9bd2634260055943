package queue

// State is where a job stands in its life. docs/states.md draws the machine.
type State uint8

// The states of a job. The zero State is none of them.
const (
	Scheduled State = iota + 1 // it waits for a time
	Blocked                    // it has dependencies that are not over
	Pending                    // it is ready and waits for a worker
	Running                    // a worker holds its lease
	Finished                   // over: a worker reported a result
	Failed                     // over: a worker reported an error, or the rules did
	Canceled                   // over: somebody canceled it, or a job it depended on
)

// States lists every state, in the order of a job's life.
func States() []State {
	return []State{Scheduled, Blocked, Pending, Running, Finished, Failed, Canceled}
}

// String returns the state's name on the wire, in lower case.
func (s State) String() string {
	switch s {
	case Scheduled:
		return "scheduled"
	case Blocked:
		return "blocked"
	case Pending:
		return "pending"
	case Running:
		return "running"
	case Finished:
		return "finished"
	case Failed:
		return "failed"
	case Canceled:
		return "canceled"
	default:
		return "invalid"
	}
}

// Over reports whether the state is terminal. Only an operator's retry leaves Failed and
// Canceled, and nothing leaves Finished.
func (s State) Over() bool { return s == Finished || s == Failed || s == Canceled }

// Waiting reports whether a job in this state has not been leased, or not again yet.
func (s State) Waiting() bool { return s == Scheduled || s == Blocked || s == Pending }
