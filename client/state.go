package client

// The states of a job, as JobState has them.
const (
	Scheduled = JobStateScheduled // it waits for a time
	Blocked   = JobStateBlocked   // it has dependencies that are not over
	Pending   = JobStatePending   // it is ready and waits for a worker
	Running   = JobStateRunning   // a worker holds its lease
	Finished  = JobStateFinished  // over: a worker reported a result
	Failed    = JobStateFailed    // over: a worker or the server reported an error
	Canceled  = JobStateCanceled  // over: somebody canceled it, or a job that it depends on
)

// Over reports whether the state is terminal. Only Client.Retry leaves Failed and Canceled, and
// nothing leaves Finished.
func (e JobState) Over() bool { return e == Finished || e == Failed || e == Canceled }
