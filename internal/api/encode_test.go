package api

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api/oapi"
)

// fill gives every field of v a value of its own, so that none can be forgotten or mixed up.
func fill(t *testing.T, v reflect.Value, n *int64) {
	t.Helper()
	*n++
	switch v.Interface().(type) {
	case json.RawMessage:
		v.SetBytes([]byte(`{"z":[1,"\u0000"],"n":` + string(rune('1'+*n%9)) + `}`))
		return
	case uuid.UUID:
		v.Set(reflect.ValueOf(uuid.New()))
		return
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 11, 23, 16, 0, 0, int(*n)*1000, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0), n)
		fill(t, v.Index(1), n)
	case reflect.String:
		v.SetString("text \"" + string(rune('a'+*n%26)) + "\" ä\n")
	case reflect.Int64:
		v.SetInt(*n)
	case reflect.Float64:
		v.SetFloat(float64(*n) + 0.125)
	case reflect.Bool:
		v.SetBool(true)
	default:
		require.Fail(t, "no value for a "+v.Type().String())
	}
}

// reference is what encoding/json makes of a value.
func reference(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	require.NoError(t, encoder.Encode(v))
	return string(bytes.TrimSpace(b.Bytes()))
}

func TestEncodersWriteEveryField(t *testing.T) {
	t.Parallel()
	var n int64
	var job oapi.Job
	fill(t, reflect.ValueOf(&job).Elem(), &n)
	require.JSONEq(t, reference(t, job), string(appendJob(nil, &job)))
	require.Len(t, appendJob(nil, &job), len(reference(t, job)))
	var lease oapi.Lease
	fill(t, reflect.ValueOf(&lease).Elem(), &n)
	require.JSONEq(t, reference(t, lease), string(appendLease(nil, &lease)))
	require.Len(t, appendLease(nil, &lease), len(reference(t, lease)))
}

func TestEncodersLeaveOutWhatIsAbsent(t *testing.T) {
	t.Parallel()
	job := oapi.Job{Args: json.RawMessage("null"), Dependencies: []uuid.UUID{}, Dependents: []uuid.UUID{}}
	require.Equal(t, reference(t, job), string(appendJob(nil, &job)))
	lease := oapi.Lease{Args: json.RawMessage("null"), Dependencies: []oapi.Dependency{{}, {Error: &oapi.JobError{}}}}
	require.JSONEq(t, reference(t, lease), string(appendLease(nil, &lease)))
	lease.Dependencies = []oapi.Dependency{}
	require.Equal(t, reference(t, lease), string(appendLease(nil, &lease)))
}

// The buffer of an answer is made in its size, and not too large: results can be megabytes.
func TestBuffersOfAnswersNeedNotGrow(t *testing.T) {
	t.Parallel()
	long, opaque := strings.Repeat("x", 128), json.RawMessage(`"`+strings.Repeat("y", 10_000)+`"`)
	now, many, reason := time.Now().UTC(), int64(math.MaxInt64), &oapi.JobError{Reason: long + long, Details: opaque}
	lease := oapi.Lease{Args: opaque, Type: long, Channel: long, Attempt: many, HeartbeatInSeconds: 1.0 / 3, HeartbeatTimeoutSeconds: 2.0 / 3}
	job := oapi.Job{
		Args: opaque, Result: opaque, Error: reason, Type: long, Channel: long, Worker: &long, Attempt: many, Retries: many,
		MaxRetries: &many, QueuedAt: now, StartedAt: &now, FinishedAt: &now, RunIf: oapi.AllSucceeded, State: oapi.Finished,
	}
	for range 500 {
		lease.Dependencies = append(lease.Dependencies, oapi.Dependency{Type: long, State: oapi.Finished, Result: opaque, Error: reason})
		job.Dependencies = append(job.Dependencies, uuid.New())
		job.Dependents = append(job.Dependents, uuid.New())
	}
	for name, size := range map[string]struct{ made, needed int }{
		"lease": {leaseSize(&lease), len(appendLease(nil, &lease)) + len("\n")},
		"job":   {jobSize(&job), len(appendJob(nil, &job)) + len("\n")},
	} {
		require.GreaterOrEqual(t, size.made, size.needed, name)
		require.Less(t, size.made, size.needed+size.needed/10, name)
	}
}
