package queue

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of what a job or a request may hold. The contract states the same numbers.
const (
	MaxNameLength   = 128    // bytes of a type, a channel or a worker's name
	MaxDependencies = 10_000 // of one job
	MaxTypes        = 64     // of one dequeue
	MaxChannels     = 64     // of one dequeue
	MaxLanes        = 256    // of one dequeue: types times channels
	MaxRetriesLimit = 1000   // of one job
	MaxReasonLength = 256    // bytes of an error's reason
	// MaxDependencyBytes bounds what a lease holds of its job's dependencies: the sum of their
	// results and errors, in bytes. Ten thousand dependencies may have made more than a server
	// can hold, or a worker read. A job beyond it fails with ReasonDependenciesTooLarge.
	MaxDependencyBytes = 64 << 20
)

// Validate returns an *InvalidError for the first field that breaks a limit. It does not look
// into Args.
func (j NewJob) Validate() error {
	if err := validateName("type", j.Type); err != nil {
		return err
	}
	if err := validateName("channel", j.Lane().Channel); err != nil {
		return err
	}
	if n := len(j.Dependencies); n > MaxDependencies {
		return &InvalidError{Field: "dependencies", Reason: fmt.Sprintf("has %d entries; at most %d are allowed", n, MaxDependencies)}
	}
	if j.RunIf > AllFinished {
		return &InvalidError{Field: "run_if", Reason: `must be "all_succeeded" or "all_finished"`}
	}
	if j.MaxRetries != nil && *j.MaxRetries > MaxRetriesLimit {
		return &InvalidError{Field: "max_retries", Reason: fmt.Sprintf("must be from 0 to %d", MaxRetriesLimit)}
	}
	return nil
}

// Validate returns an *InvalidError for the first field that breaks a limit.
func (r DequeueRequest) Validate() error {
	if len(r.Types) == 0 {
		return &InvalidError{Field: "types", Reason: "must name at least one type"}
	}
	if err := validateNames("types", r.Types, MaxTypes); err != nil {
		return err
	}
	if err := validateNames("channels", r.Channels, MaxChannels); err != nil {
		return err
	}
	if n := len(r.Types) * len(r.Channels); n > MaxLanes {
		return &InvalidError{
			Field:  "channels",
			Reason: fmt.Sprintf("and types make %d pairs of one of each; at most %d are allowed", n, MaxLanes),
		}
	}
	return ValidateWorker(r.Worker)
}

// ValidateWorker returns an *InvalidError if a worker's name is too long, or could upset the
// terminal of somebody who looks at it.
func ValidateWorker(name string) error {
	if len(name) > MaxNameLength || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return &InvalidError{
			Field:  "worker",
			Reason: fmt.Sprintf("must be UTF-8 text of at most %d bytes, without control characters", MaxNameLength),
		}
	}
	return nil
}

// ValidateReport returns an *InvalidError if a worker may not report the outcome: the reasons
// that the queue gives itself are its own.
func ValidateReport(o Outcome) error {
	if o.Error == nil {
		return nil
	}
	switch reason := o.Error.Reason; {
	case reason == "" || len(reason) > MaxReasonLength || !utf8.ValidString(reason):
		return &InvalidError{Field: "error.reason", Reason: fmt.Sprintf("must be UTF-8 text of 1 to %d bytes", MaxReasonLength)}
	case reservedReason(reason):
		return &InvalidError{Field: "error.reason", Reason: fmt.Sprintf("%q is given by the server only; use another word", reason)}
	}
	return nil
}

func reservedReason(reason string) bool {
	switch reason {
	case ReasonHeartbeatLost, ReasonDependencyFailed, ReasonDependenciesTooLarge, ReasonDamaged:
		return true
	default:
		return false
	}
}

func validateNames(field string, names []string, most int) error {
	if len(names) > most {
		return &InvalidError{Field: field, Reason: fmt.Sprintf("has %d entries; at most %d are allowed", len(names), most)}
	}
	for i, name := range names {
		if err := validateName(fmt.Sprintf("%s[%d]", field, i), name); err != nil {
			return err
		}
	}
	return nil
}

// validateName holds types and channels to one alphabet, so that they can stand in URLs,
// metrics and shell scripts as they are.
func validateName(field, name string) error {
	if validName(name) {
		return nil
	}
	return &InvalidError{
		Field:  field,
		Reason: fmt.Sprintf("must be 1 to %d letters, digits or . _ : / @ + -, and begin with a letter or a digit", MaxNameLength),
	}
}

func validName(name string) bool {
	if name == "" || len(name) > MaxNameLength {
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
