package queue

import (
	"errors"
	"fmt"

	"github.com/google/uuid"
)

// The errors of a queue, tested with errors.Is. An engine returns nothing else for what a
// caller can cause; any other error is an accident of the engine's own.
var (
	// ErrNotExist: no job has that id, or no lease ever had that token.
	ErrNotExist = errors.New("job does not exist")
	// ErrNotPending: the job is not ready to be leased.
	ErrNotPending = errors.New("job is not pending")
	// ErrNotRunning: the job finished or failed already.
	ErrNotRunning = errors.New("job is not running")
	// ErrCanceled: the job was canceled; its worker's report is not accepted.
	ErrCanceled = errors.New("job was canceled")
	// ErrDequeueTimeout: the context ended before a job was ready.
	ErrDequeueTimeout = errors.New("dequeue context timed out or was canceled")
	// ErrLeaseLost: the lease is over: it was taken back, released, or reported on.
	ErrLeaseLost = errors.New("lease is over")
	// ErrAlreadyReported: the lease was reported on before, with another outcome.
	ErrAlreadyReported = errors.New("lease was already reported with another outcome")
	// ErrChanged: the job is not of the version that the update is for.
	ErrChanged = errors.New("job has changed")
	// ErrNotFailed: only a job that failed or was canceled can be retried, once all its
	// dependents were told of that.
	ErrNotFailed = errors.New("job has not failed and was not canceled")
	// ErrNotOver: only a job that is over can be deleted.
	ErrNotOver = errors.New("job is not over")
	// ErrDeleted: the jobs that the first call with the same idempotency key added were deleted
	// since.
	ErrDeleted = errors.New("a job of the call was deleted")
	// ErrDependencyFailed: a dependency of the job that is to be retried failed or was canceled,
	// and decides against it.
	ErrDependencyFailed = errors.New("a dependency has failed or was canceled")
	// ErrUniqueKeyTaken: another job that is not over has the unique key of the one that is to
	// be retried.
	ErrUniqueKeyTaken = errors.New("another job has the unique key")
	// ErrKeyReused: the call's idempotency key was used for another call.
	ErrKeyReused = errors.New("idempotency key was used for another call")
	// ErrKeyInUse: the call with the same idempotency key is still under way.
	ErrKeyInUse = errors.New("call with the same idempotency key is under way")
	// ErrBackupExists: there is a backup of that name.
	ErrBackupExists = errors.New("there is a backup of that name")
	// ErrBackupUnderWay: another backup is being made.
	ErrBackupUnderWay = errors.New("another backup is being made")
	// ErrNoAPIKey: there is no API key of that id.
	ErrNoAPIKey = errors.New("API key does not exist")
	// ErrAPIKeyExists: there is an API key of that id already.
	ErrAPIKeyExists = errors.New("API key exists already")
	// ErrTwoAPIKeys: as many API keys of the name are good as there may be.
	ErrTwoAPIKeys = errors.New("two API keys of that name are good already")
	// ErrAPIKeyName: the API keys of the name are for other channels.
	ErrAPIKeyName = errors.New("API keys of that name are for other channels")
	// ErrTooManyAPIKeys: there are MaxAPIKeys.
	ErrTooManyAPIKeys = errors.New("there are too many API keys")
	// ErrUnavailable: the store is closed or has failed; the outcome of a call that got this
	// error is unknown.
	ErrUnavailable = errors.New("queue is not available")
	// ErrDamaged: a record in the store cannot be read. Only calls that need it are affected.
	ErrDamaged = errors.New("record is damaged")
)

// DependencyError tells which dependency of which job does not exist. It is an ErrNotExist.
type DependencyError struct {
	Job   int // index of the job in the call to Enqueue
	Index int // index in the job's Dependencies
	ID    uuid.UUID
}

func (e *DependencyError) Error() string {
	return fmt.Sprintf("dependency %s does not exist", e.ID)
}

// Unwrap makes the error an ErrNotExist.
func (e *DependencyError) Unwrap() error { return ErrNotExist }

// NotExistError tells which of the jobs that were asked for does not exist. It is an ErrNotExist.
type NotExistError struct {
	Index int // in the list that was given
	ID    uuid.UUID
}

func (e *NotExistError) Error() string { return fmt.Sprintf("job %s does not exist", e.ID) }

// Unwrap makes the error an ErrNotExist.
func (e *NotExistError) Unwrap() error { return ErrNotExist }

// InvalidError tells which field of a request is not acceptable, and why.
type InvalidError struct {
	Job    int    // index of the job in the call to Enqueue; 0 elsewhere
	Field  string // as it is called on the wire, such as "types[3]"
	Reason string // completes "<field>: "
}

// OfJob makes an *InvalidError that of one job of a call.
func OfJob(err error, index int) error {
	if invalid := (*InvalidError)(nil); errors.As(err, &invalid) {
		return &InvalidError{Job: index, Field: invalid.Field, Reason: invalid.Reason}
	}
	return err
}

func (e *InvalidError) Error() string { return e.Field + ": " + e.Reason }
