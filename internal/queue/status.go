package queue

// StatusOf returns the status of a job that has the record and the outcome; without its dependents,
// and what its worker has reported.
func StatusOf(j *Job, r *Record, outcome Outcome) Status {
	return Status{
		ID:           j.ID,
		Type:         j.Type,
		Channel:      j.Channel,
		State:        r.State,
		Result:       outcome.Result,
		Error:        outcome.Error,
		Queued:       r.Queued,
		Started:      r.Started,
		Finished:     r.Finished,
		RunAt:        r.RunAt,
		Canceled:     r.State == Canceled,
		Attempt:      r.Attempt,
		Priority:     r.Priority,
		Retries:      r.Retries,
		Failures:     r.Failures,
		Timeouts:     r.Timeouts,
		Generation:   r.Generation,
		Version:      r.Version,
		Worker:       r.Worker,
		Dependencies: j.DependencyIDs(),
	}
}
