package queue

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of what a job or a request may hold. The contract states the same numbers.
const (
	MaxJobs         = 10_000  // of one call
	MaxEdges        = 200_000 // of one call: dependencies and needs of all its jobs
	MaxNameLength   = 128     // bytes of a type, a channel, a name or a worker's name
	MaxDependencies = 10_000  // of one job, needs included
	MaxTypes        = 64      // of one dequeue, or of a filter
	MaxChannels     = MaxTypes
	MaxLanes        = 256  // of one dequeue: types times channels
	MaxPriority     = 100  // and no less than -MaxPriority
	MaxRetriesLimit = 1000 // of one job, for silence, timeouts and failures alike
	MaxReasonLength = 256  // bytes of an error's reason
	MaxLabels       = 32   // of one job
	MaxLabelName    = 64   // bytes
	MaxLabelValue   = 256  // bytes
	MaxUniqueKey    = 256  // bytes
	MaxMessage      = 1024 // bytes of a progress message
	// MaxDependencyBytes bounds what a lease holds of its job's dependencies: the sum of their
	// results and errors, in bytes. Ten thousand dependencies may have made more than a server
	// can hold, or a worker read. A job beyond it fails with ReasonDependenciesTooLarge.
	MaxDependencyBytes = 64 << 20
	// MaxLeaseResults is how much of that a lease is granted with, in bytes. What is more is withheld, for
	// its holder to ask for when there is room for it.
	MaxLeaseResults = 1 << 20

	MinTimeout          = time.Second               // of a run, and of a heartbeat
	MaxTimeout          = 365 * 24 * time.Hour      // of a run
	MaxHeartbeatTimeout = 7 * 24 * time.Hour        // of a job
	MaxDelay            = 10 * 365 * 24 * time.Hour // of a job, and of any wait for a retry
	MaxRetryFactor      = 1000.0
)

// The years that a time may be of.
const (
	firstYear = 1970
	lastYear  = 9999
)

// Validate returns an *InvalidError for the first field that breaks a limit. It does not look
// into Args.
func (n NewJob) Validate() error {
	if err := validateName("type", n.Type); err != nil {
		return err
	}
	if err := validateName("channel", n.Lane().Channel); err != nil {
		return err
	}
	if n.Name != "" {
		if err := validateName("name", n.Name); err != nil {
			return err
		}
	}
	if count := len(n.Dependencies) + len(n.Needs); count > MaxDependencies {
		return &InvalidError{Field: "dependencies", Reason: fmt.Sprintf("and needs have %d entries; at most %d are allowed", count, MaxDependencies)}
	}
	for i, need := range n.Needs {
		if need.If > IfOver {
			return &InvalidError{Field: fmt.Sprintf("needs[%d].if", i), Reason: `must be "succeeded" or "finished"`}
		}
	}
	if n.RunIf > AllFinished {
		return &InvalidError{Field: "run_if", Reason: `must be "all_succeeded" or "all_finished"`}
	}
	if err := ValidatePriority(n.Priority); err != nil {
		return err
	}
	if err := n.validateTimes(); err != nil {
		return err
	}
	if n.MaxRetries != nil && *n.MaxRetries > MaxRetriesLimit {
		return &InvalidError{Field: "max_retries", Reason: fmt.Sprintf("must be from 0 to %d", MaxRetriesLimit)}
	}
	if n.MaxTimeouts > MaxRetriesLimit {
		return &InvalidError{Field: "max_timeouts", Reason: fmt.Sprintf("must be from 0 to %d", MaxRetriesLimit)}
	}
	if n.MaxTimeouts > 0 && n.Timeout == 0 {
		return &InvalidError{Field: "max_timeouts", Reason: "makes no sense without timeout_seconds"}
	}
	if n.Retry != nil {
		if err := n.Retry.validate(); err != nil {
			return err
		}
	}
	if len(n.UniqueKey) > MaxUniqueKey || !plainText(n.UniqueKey) {
		return &InvalidError{Field: "unique_key", Reason: fmt.Sprintf("must be UTF-8 text of at most %d bytes, without control characters", MaxUniqueKey)}
	}
	if n.TraceParent != "" && !validTraceParent(n.TraceParent) {
		return &InvalidError{Field: "traceparent", Reason: "must be a W3C trace context, such as 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	}
	return ValidateLabels(n.Labels)
}

// ValidateAt returns an *InvalidError if a job that is added now could only expire, because its
// Delay does not end before its ExpiresAt. It is for jobs that Validate accepts.
func (n NewJob) ValidateAt(now time.Time) error {
	if n.Delay > 0 && !n.ExpiresAt.IsZero() && !now.Add(n.Delay).Before(n.ExpiresAt) {
		return &InvalidError{Field: "expires_at", Reason: "must be after the time that delay_seconds leads to"}
	}
	return nil
}

func (n NewJob) validateTimes() error {
	if err := ValidateTime("run_at", n.RunAt); err != nil {
		return err
	}
	if err := ValidateTime("expires_at", n.ExpiresAt); err != nil {
		return err
	}
	switch {
	case n.Delay != 0 && !n.RunAt.IsZero():
		return &InvalidError{Field: "delay_seconds", Reason: "and run_at contradict each other; give one of them"}
	case n.Delay < 0 || n.Delay > MaxDelay:
		return &InvalidError{Field: "delay_seconds", Reason: fmt.Sprintf("must be from 0 to %d", int64(MaxDelay/time.Second))}
	case !n.RunAt.IsZero() && !n.ExpiresAt.IsZero() && !n.RunAt.Before(n.ExpiresAt):
		return &InvalidError{Field: "expires_at", Reason: "must be after run_at"}
	case n.Timeout != 0 && (n.Timeout < MinTimeout || n.Timeout > MaxTimeout):
		return &InvalidError{Field: "timeout_seconds", Reason: secondsFrom(MinTimeout, MaxTimeout)}
	case n.HeartbeatTimeout != 0 && (n.HeartbeatTimeout < MinTimeout || n.HeartbeatTimeout > MaxHeartbeatTimeout):
		return &InvalidError{Field: "heartbeat_timeout_seconds", Reason: secondsFrom(MinTimeout, MaxHeartbeatTimeout)}
	}
	return nil
}

func (p RetryPolicy) validate() error {
	switch {
	case p.MaxAttempts < 1 || p.MaxAttempts > MaxRetriesLimit:
		return &InvalidError{Field: "retry.max_attempts", Reason: fmt.Sprintf("must be from 1 to %d", MaxRetriesLimit)}
	case p.Initial < 0 || p.Initial > MaxDelay:
		return &InvalidError{Field: "retry.initial_seconds", Reason: secondsFrom(0, MaxDelay)}
	case !(p.Factor >= 1 && p.Factor <= MaxRetryFactor): // not a number is neither
		return &InvalidError{Field: "retry.factor", Reason: fmt.Sprintf("must be from 1 to %g", MaxRetryFactor)}
	case p.Max < p.Initial || p.Max > MaxDelay:
		return &InvalidError{Field: "retry.max_seconds", Reason: fmt.Sprintf("must be from retry.initial_seconds to %d", int64(MaxDelay/time.Second))}
	case !(p.Jitter >= 0 && p.Jitter <= 1):
		return &InvalidError{Field: "retry.jitter", Reason: "must be from 0 to 1"}
	}
	return nil
}

func secondsFrom(least, most time.Duration) string {
	return fmt.Sprintf("must be from %d to %d", int64(least/time.Second), int64(most/time.Second))
}

// ValidatePriority returns an *InvalidError if a priority is out of range.
func ValidatePriority(priority int) error {
	if priority < -MaxPriority || priority > MaxPriority {
		return &InvalidError{Field: "priority", Reason: fmt.Sprintf("must be from %d to %d", -MaxPriority, MaxPriority)}
	}
	return nil
}

// ValidateTime returns an *InvalidError if stores cannot keep a time. The zero time is none.
func ValidateTime(field string, t time.Time) error {
	if !t.IsZero() && (t.UTC().Year() < firstYear || storedTime(t).Year() > lastYear) {
		return &InvalidError{Field: field, Reason: fmt.Sprintf("must be in the years %d to %d", firstYear, lastYear)}
	}
	return nil
}

// ValidateLabels returns an *InvalidError for the first label, by name, that breaks a limit.
func ValidateLabels(labels map[string]string) error {
	if len(labels) > MaxLabels {
		return &InvalidError{Field: "labels", Reason: fmt.Sprintf("has %d members; at most %d are allowed", len(labels), MaxLabels)}
	}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if len(name) > MaxLabelName || !validName(name) {
			return &InvalidError{Field: "labels", Reason: fmt.Sprintf("the name %q must be 1 to %d %s", shown(name), MaxLabelName, nameAlphabet)}
		}
		if value := labels[name]; len(value) > MaxLabelValue || !plainText(value) {
			return &InvalidError{Field: "labels." + name, Reason: fmt.Sprintf("must be UTF-8 text of at most %d bytes, without control characters", MaxLabelValue)}
		}
	}
	return nil
}

// shown bounds what is repeated to a client of a text that it chose.
func shown(text string) string {
	if len(text) > MaxNameLength {
		return strings.ToValidUTF8(text[:MaxNameLength], "") + "..."
	}
	return text
}

// Validate returns an *InvalidError for the first field that breaks a limit.
func (u Update) Validate() error {
	if u.Priority != nil {
		if err := ValidatePriority(*u.Priority); err != nil {
			return err
		}
	}
	if u.RunAt != nil {
		if err := ValidateTime("run_at", *u.RunAt); err != nil {
			return err
		}
	}
	if u.Labels != nil {
		return ValidateLabels(*u.Labels)
	}
	return nil
}

// Validate returns an *InvalidError for the first field that breaks a limit. It does not look
// into PartialResult.
func (b Beat) Validate() error {
	if b.Progress == nil {
		return nil
	}
	if percent := b.Progress.Percent; percent != nil && !(*percent >= 0 && *percent <= 100) {
		return &InvalidError{Field: "progress.percent", Reason: "must be from 0 to 100"}
	}
	if message := b.Progress.Message; len(message) > MaxMessage || !utf8.ValidString(message) {
		return &InvalidError{Field: "progress.message", Reason: fmt.Sprintf("must be UTF-8 text of at most %d bytes", MaxMessage)}
	}
	return nil
}

// ValidateDelay returns an *InvalidError if a wait that a worker asks for is out of range.
func ValidateDelay(field string, delay time.Duration) error {
	if delay < 0 || delay > MaxDelay {
		return &InvalidError{Field: field, Reason: secondsFrom(0, MaxDelay)}
	}
	return nil
}

// Validate returns an *InvalidError for the first field that breaks a limit.
func (r DequeueRequest) Validate() error {
	if len(r.Types) == 0 {
		return &InvalidError{Field: "types", Reason: "must name at least one type"}
	}
	if err := validateNames("types", r.Types); err != nil {
		return err
	}
	if err := validateNames("channels", r.Channels); err != nil {
		return err
	}
	if n := len(r.Types) * len(r.Channels); n > MaxLanes {
		return &InvalidError{
			Field:  "channels",
			Reason: fmt.Sprintf("and types make %d pairs of one of each; at most %d are allowed", n, MaxLanes),
		}
	}
	if err := ValidateLabels(r.Labels); err != nil {
		return err
	}
	return ValidateWorker(r.Worker)
}

// ValidateWorker returns an *InvalidError if a worker's name is too long, or could upset the
// terminal of somebody who looks at it.
func ValidateWorker(name string) error {
	if len(name) > MaxNameLength || !plainText(name) {
		return &InvalidError{
			Field:  "worker",
			Reason: fmt.Sprintf("must be UTF-8 text of at most %d bytes, without control characters", MaxNameLength),
		}
	}
	return nil
}

// Validate returns an *InvalidError if a worker may not report the error: the reasons that
// the queue gives itself are its own.
func (e JobError) Validate() error {
	switch reason := e.Reason; {
	case reason == "" || len(reason) > MaxReasonLength || !utf8.ValidString(reason) || strings.Contains(reason, "\x00"): // which PostgreSQL has no text with
		return &InvalidError{Field: "error.reason", Reason: fmt.Sprintf("must be UTF-8 text of 1 to %d bytes, without U+0000", MaxReasonLength)}
	case reservedReason(reason):
		return &InvalidError{Field: "error.reason", Reason: fmt.Sprintf("%q is given by the server only; use another word", reason)}
	}
	return nil
}

// Validate returns an *InvalidError for the first field that breaks a limit.
func (f Failure) Validate() error {
	if err := f.Error.Validate(); err != nil {
		return err
	}
	if f.RetryAfter == nil {
		return nil
	}
	if !f.Retryable {
		return &InvalidError{Field: "retry_after_seconds", Reason: "makes no sense unless retryable is true"}
	}
	return ValidateDelay("retry_after_seconds", *f.RetryAfter)
}

// validateNames is for types and for channels.
func validateNames(field string, names []string) error {
	if len(names) > MaxTypes {
		return &InvalidError{Field: field, Reason: fmt.Sprintf("has %d entries; at most %d are allowed", len(names), MaxTypes)}
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
		Reason: fmt.Sprintf("must be 1 to %d %s", MaxNameLength, nameAlphabet),
	}
}

// ValidName reports whether a text can be the name of a channel or a type.
func ValidName(name string) bool { return validName(name) }

const nameAlphabet = "letters, digits or . _ : / @ + -, and begin with a letter or a digit"

// plainText reports whether a text is sound, and cannot upset the terminal of somebody who
// looks at it.
func plainText(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// validTraceParent accepts what https://www.w3.org/TR/trace-context/#traceparent-header says
// of version 00, and of later versions what they must begin with.
func validTraceParent(text string) bool {
	const (
		length  = 55
		longest = 512
	)
	if len(text) < length || len(text) > longest || text[:2] == "ff" || text[:2] == "00" && len(text) != length {
		return false
	}
	if len(text) > length && (text[length] != '-' || !plainText(text)) {
		return false
	}
	for i, c := range []byte(text[:length]) {
		switch {
		case i == 2 || i == 35 || i == 52:
			if c != '-' {
				return false
			}
		case (c < '0' || c > '9') && (c < 'a' || c > 'f'):
			return false
		}
	}
	return strings.Trim(text[3:35], "0") != "" && strings.Trim(text[36:52], "0") != ""
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
