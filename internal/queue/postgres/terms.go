package postgres

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// terms are what was given at Enqueue and few jobs have: a column of JSON, null for most of them.
// Durations are in nanoseconds.
type terms struct {
	RunIf       queue.RunIf        `json:"run_if,omitempty"`
	Priority    int                `json:"priority,omitempty"`
	RunAt       *time.Time         `json:"run_at,omitempty"`
	ExpiresAt   *time.Time         `json:"expires_at,omitempty"`
	MaxRetries  *uint64            `json:"max_retries,omitempty"`
	MaxTimeouts uint64             `json:"max_timeouts,omitempty"`
	Retry       *queue.RetryPolicy `json:"retry,omitempty"`
	UniqueKey   string             `json:"unique_key,omitempty"`
}

// definition is what was given at Enqueue, as the columns of a row of jobs.
type definition struct {
	timeout, heartbeatTimeout *int64
	traceParent               *string
	labels, terms             *string // JSON
}

func defineJob(j *queue.Job) (definition, error) {
	d := definition{timeout: nullDuration(j.Timeout), heartbeatTimeout: nullDuration(j.HeartbeatTimeout)}
	if j.TraceParent != "" {
		d.traceParent = &j.TraceParent
	}
	var err error
	if d.labels, err = encodeLabels(j.Labels); err != nil {
		return definition{}, err
	}
	t := terms{
		RunIf: j.RunIf, Priority: j.Priority, RunAt: nullTime(j.RunAt), ExpiresAt: nullTime(j.ExpiresAt),
		MaxRetries: j.MaxRetries, MaxTimeouts: j.MaxTimeouts, Retry: j.Retry, UniqueKey: j.UniqueKey,
	}
	if t == (terms{}) {
		return d, nil
	}
	text, err := json.Marshal(&t)
	if err != nil {
		return definition{}, fmt.Errorf("encode the terms of a job: %w", err)
	}
	d.terms = new(string(text))
	return d, nil
}

func encodeLabels(labels map[string]string) (*string, error) {
	if len(labels) == 0 {
		return nil, nil //nolint:nilnil // null is what the column has
	}
	text, err := json.Marshal(labels)
	if err != nil {
		return nil, fmt.Errorf("encode the labels of a job: %w", err)
	}
	return new(string(text)), nil
}

// jobOf is the inverse of defineJob, without Args and Dependencies.
func jobOf(id uuid.UUID, lane queue.Lane, d *definition) (queue.Job, error) {
	j := queue.Job{
		ID: id, Type: lane.Type, Channel: lane.Channel,
		Timeout: durationOf(d.timeout), HeartbeatTimeout: durationOf(d.heartbeatTimeout),
	}
	if d.traceParent != nil {
		j.TraceParent = *d.traceParent
	}
	var err error
	if j.Labels, err = decodeLabels(d.labels); err != nil {
		return queue.Job{}, err
	}
	if d.terms == nil {
		return j, nil
	}
	var t terms
	if err := json.Unmarshal([]byte(*d.terms), &t); err != nil {
		return queue.Job{}, fmt.Errorf("the terms of job %s: %w", id, queue.ErrDamaged)
	}
	j.RunIf, j.Priority, j.RunAt, j.ExpiresAt = t.RunIf, t.Priority, timeOf(t.RunAt), timeOf(t.ExpiresAt)
	j.MaxRetries, j.MaxTimeouts, j.Retry, j.UniqueKey = t.MaxRetries, t.MaxTimeouts, t.Retry, t.UniqueKey
	return j, nil
}

func decodeLabels(text *string) (labels map[string]string, err error) {
	if text == nil {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(*text), &labels); err != nil {
		return nil, fmt.Errorf("the labels of a job: %w", queue.ErrDamaged)
	}
	return labels, nil
}
