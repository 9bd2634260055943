package queue

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
)

// MaxBatch is how many leases one call may ask for, and how many reports it may bring.
const MaxBatch = 1000

// Report is what a worker says of one lease: that its job is done, with a result, or that it
// failed.
type Report struct {
	Token   uuid.UUID
	Result  json.RawMessage // nil is null
	Failure *Failure        // nil if the job is done
}

// Reported is what became of one report: the state of its job, or why it was refused.
type Reported struct {
	// State is the one that the report has brought the job to. One that waits for another job which the
	// same call reports on may be Blocked, and Pending when the call returns.
	State State
	Err   error // ErrNotExist, ErrLeaseLost, ErrCanceled, ErrAlreadyReported, *InvalidError
}

// BatchRequest reports on leases, and asks for new ones.
type BatchRequest struct {
	DequeueRequest
	// Max is how many leases are wanted at most, 1 to MaxBatch.
	Max int
	// Reports are at most MaxBatch, of a token each.
	Reports []Report
	// Strict has the whole call refused, with the error of the first report that is.
	Strict bool
	// ReportOnly has nothing leased, and nobody made to wait: the leases of the answer are
	// those that a call with the same Once was granted before.
	ReportOnly bool
}

// BatchAnswer is what became of a BatchRequest.
type BatchAnswer struct {
	Reported []Reported // in the order of the reports
	Leases   []Lease
}

// Validate returns an *InvalidError for the first field that breaks a limit. It does not look
// into what is reported: that is each report's own business.
func (r BatchRequest) Validate() error {
	if err := r.DequeueRequest.Validate(); err != nil {
		return err
	}
	if r.Max < 1 || r.Max > MaxBatch {
		return &InvalidError{Field: "max", Reason: fmt.Sprintf("must be from 1 to %d", MaxBatch)}
	}
	if n := len(r.Reports); n > MaxBatch {
		return &InvalidError{Field: "finish", Reason: fmt.Sprintf("has %d entries; at most %d are allowed", n, MaxBatch)}
	}
	seen := make(map[uuid.UUID]int, len(r.Reports))
	for i := range r.Reports {
		token := r.Reports[i].Token
		if first, found := seen[token]; found {
			return &InvalidError{Field: fmt.Sprintf("finish[%d].token", i), Reason: fmt.Sprintf("is that of finish[%d] already", first)}
		}
		seen[token] = i
	}
	return nil
}
