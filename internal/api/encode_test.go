package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
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
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 3 {
			name, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(t, name, n)
			fill(t, value, n)
			v.SetMapIndex(name, value)
		}
	case reflect.Int, reflect.Int64:
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
	var created oapi.CreatedJobs
	fill(t, reflect.ValueOf(&created).Elem(), &n)
	require.JSONEq(t, reference(t, created), string(appendCreatedJobs(nil, created.Jobs)))
	require.Len(t, appendCreatedJobs(nil, created.Jobs), len(reference(t, created)))
	var exchanged oapi.DequeueBatchAnswer
	fill(t, reflect.ValueOf(&exchanged).Elem(), &n)
	require.JSONEq(t, reference(t, exchanged), string(appendExchange(nil, exchanged.Finished, exchanged.Leases)))
	require.Len(t, appendExchange(nil, exchanged.Finished, exchanged.Leases), len(reference(t, exchanged)))
	var listed oapi.Job
	fill(t, reflect.ValueOf(&listed).Elem(), &n)
	list := wholeList(t, []oapi.Job{job, listed}, "next")
	want := fmt.Sprintf(`{"jobs":[%s,%s],"next_cursor":"next"}`, reference(t, job), reference(t, listed))
	require.JSONEq(t, want, string(list))
	require.Len(t, list, len(want))

	var attempts oapi.AttemptList
	fill(t, reflect.ValueOf(&attempts).Elem(), &n)
	require.JSONEq(t, reference(t, attempts), string(appendAttempts(nil, attempts.Attempts)))
	var explanation oapi.Explanation
	fill(t, reflect.ValueOf(&explanation).Elem(), &n)
	require.JSONEq(t, reference(t, explanation), string(appendExplanation(nil, &explanation)))

	for name := range jobFields() {
		list, err := appendJobList(nil, []oapi.Job{job}, fieldSet{name: {}}, "")
		require.NoError(t, err)
		var members map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(reference(t, job)), &members))
		require.JSONEq(t, fmt.Sprintf(`{"jobs":[{%q:%s}]}`, name, members[name]), string(list))
	}
}

func TestEncodersLeaveOutWhatIsAbsent(t *testing.T) {
	t.Parallel()
	job := oapi.Job{Args: json.RawMessage("null"), Dependencies: []uuid.UUID{}, Dependents: []uuid.UUID{}}
	require.Equal(t, reference(t, job), string(appendJob(nil, &job)))
	lease := oapi.Lease{Args: json.RawMessage("null"), Dependencies: []oapi.Dependency{{}, {Error: &oapi.JobError{}}}}
	require.JSONEq(t, reference(t, lease), string(appendLease(nil, &lease)))
	none := oapi.DequeueBatchAnswer{Finished: []oapi.LeaseReported{}, Leases: []oapi.Lease{}}
	require.Equal(t, reference(t, none), string(appendExchange(nil, nil, nil)))
	bare := oapi.DequeueBatchAnswer{Finished: []oapi.LeaseReported{{}, {}}, Leases: []oapi.Lease{lease, lease}}
	require.JSONEq(t, reference(t, bare), string(appendExchange(nil, bare.Finished, bare.Leases)))
	lease.Dependencies = []oapi.Dependency{}
	require.Equal(t, reference(t, lease), string(appendLease(nil, &lease)))

	text, number := "x", 0.5
	for _, progress := range []oapi.Progress{{}, {Message: &text}, {Percent: &number}} {
		job.Progress = &progress
		require.Equal(t, reference(t, job), string(appendJob(nil, &job)))
	}
	job.Labels, job.Progress = &oapi.Labels{}, nil
	for _, retry := range []oapi.RetryPolicy{{}, {Factor: &number}, {Jitter: &number, MaxSeconds: &number}, {InitialSeconds: &number}} {
		job.Retry = &retry
		require.JSONEq(t, reference(t, job), string(appendJob(nil, &job)))
	}
	require.Equal(t, reference(t, oapi.CreatedJobs{Jobs: []oapi.CreatedJob{}}), string(appendCreatedJobs(nil, nil)))
	require.Equal(t, reference(t, oapi.CreatedJobs{Jobs: []oapi.CreatedJob{{Name: &text}}}), string(appendCreatedJobs(nil, []oapi.CreatedJob{{Name: &text}})))
	require.JSONEq(t, `{"jobs":[]}`, string(wholeList(t, nil, "")))
}

func wholeList(t *testing.T, jobs []oapi.Job, next string) []byte {
	t.Helper()
	list, err := appendJobList(nil, jobs, nil, next)
	require.NoError(t, err)
	return list
}

// Numbers, times and the order of labels are those of encoding/json, to the byte.
func TestEncodersWriteValuesAsEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, number := range []float64{
		0, math.Copysign(0, -1), 1, -1, 0.1, 1.0 / 3, 100, 1e6, 1e20, 999999999999999868928, 1e21, -1e21, 1e22, 1.5e300, math.MaxFloat64,
		1e-5, 1e-6, 9.99e-7, 1e-7, -1e-7, 1.25e-9, 1e-10, 1e-99, 1e-100, math.SmallestNonzeroFloat64, 315360000.123457, 1 << 53,
	} {
		require.Equal(t, reference(t, number), string(appendNumber(nil, number)))
	}
	for _, at := range []time.Time{
		time.Unix(0, 0).UTC(), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC), time.Date(2026, 1, 2, 3, 4, 5, 120, time.UTC),
		time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", -5*3600-30*60)),
	} {
		require.Equal(t, reference(t, at), string(appendTime(nil, at)))
	}
	labels := map[string]string{}
	for _, name := range []string{"z", "a", "ä", "A", "a.b", "a-b", "_", "10", "9", ""} {
		labels[name] = "of " + name + " \"\\\n\u007f\x01ä😀"
	}
	require.Equal(t, `,"labels":`+reference(t, labels), string(appendLabels(nil, labels)))
}

// The buffer of an answer is made in its size, and not too large: results can be megabytes.
func TestBuffersOfAnswersNeedNotGrow(t *testing.T) {
	t.Parallel()
	long, opaque := strings.Repeat("x", 128), json.RawMessage(`"`+strings.Repeat("y", 10_000)+`"`)
	now, many, reason := time.Now().UTC(), int64(math.MaxInt64), &oapi.JobError{Reason: long + long, Details: opaque}
	number := -math.MaxFloat64 / 3
	labels := oapi.Labels{}
	for i := range queue.MaxLabels {
		labels[strings.Repeat("n", 62)+strconv.Itoa(10+i)] = long + long
	}
	lease := oapi.Lease{
		Args: opaque, Type: long, Channel: long, Attempt: many, HeartbeatInSeconds: number, HeartbeatTimeoutSeconds: number,
		TimeoutSeconds: &number, Labels: &labels, Traceparent: &long,
	}
	job := oapi.Job{
		Args: opaque, Result: opaque, Error: reason, Type: long, Channel: long, Worker: &long, Attempt: many, Retries: many,
		MaxRetries: &many, QueuedAt: now, StartedAt: &now, FinishedAt: &now, RunIf: oapi.AllSucceeded, State: oapi.JobStateFinished,
		Failures: many, Timeouts: many, Generation: many, MaxTimeouts: &many, TimeoutSeconds: &number, HeartbeatTimeoutSeconds: &number,
		Retry:     &oapi.RetryPolicy{MaxAttempts: math.MaxInt, InitialSeconds: &number, Factor: &number, MaxSeconds: &number, Jitter: &number},
		UniqueKey: &long, Priority: math.MinInt64, RunAt: &now, ExpiresAt: &now, Labels: &labels, Traceparent: &long,
		Progress: &oapi.Progress{Percent: &number, Message: &long}, PartialResult: opaque,
	}
	for range 500 {
		lease.Dependencies = append(lease.Dependencies, oapi.Dependency{Name: &long, Type: long, State: oapi.JobStateFinished, Result: opaque, Error: reason})
		job.Dependencies = append(job.Dependencies, uuid.New())
		job.Dependents = append(job.Dependents, uuid.New())
	}
	// With all that can be there and all else as small as it can be.
	small := job
	small.Args, small.Result, small.PartialResult, small.Error = json.RawMessage("0"), nil, nil, nil
	small.Dependencies, small.Dependents, small.Labels = nil, nil, nil
	yes := true
	var created []oapi.CreatedJob
	for range 500 {
		created = append(created, oapi.CreatedJob{Existing: &yes, Name: &long, State: oapi.JobStateScheduled})
	}
	state, code, detail := oapi.JobStateScheduled, codeAlreadyReported, strings.Repeat("d", 200)
	var reported []oapi.LeaseReported
	for range 500 {
		reported = append(reported, oapi.LeaseReported{Code: &code, Detail: &detail}, oapi.LeaseReported{State: &state})
	}
	for name, size := range map[string]struct{ made, needed int }{
		"lease": {leaseSize(&lease), len(appendLease(nil, &lease)) + len("\n")},
		"job":   {jobSize(&job), len(appendJob(nil, &job)) + len("\n")},
		"list":  {jobListSize([]oapi.Job{job, job}, long), len(wholeList(t, []oapi.Job{job, job}, long)) + len("\n")},
		"exchange": {
			exchangeSize(reported, []oapi.Lease{lease, lease}),
			len(appendExchange(nil, reported, []oapi.Lease{lease, lease})) + len("\n"),
		},
		"created": {createdJobsSize(created), len(appendCreatedJobs(nil, created)) + len("\n")},
	} {
		require.GreaterOrEqual(t, size.made, size.needed, name)
		require.Less(t, size.made, size.needed+size.needed/10, name)
	}
	require.GreaterOrEqual(t, jobSize(&small), len(appendJob(nil, &small))+len("\n"))
	require.GreaterOrEqual(t, createdJobsSize(created[:1]), len(appendCreatedJobs(nil, created[:1]))+len("\n"))
	require.GreaterOrEqual(t, exchangeSize(nil, nil), len(appendExchange(nil, nil, nil))+len("\n"))
	for i := range 2 {
		require.GreaterOrEqual(t, exchangeSize(reported[i:i+1], nil), len(appendExchange(nil, reported[i:i+1], nil))+len("\n"))
	}
	require.GreaterOrEqual(t, exchangeSize(reported, nil), len(appendExchange(nil, reported, nil))+len("\n"))
	require.GreaterOrEqual(t, jobListSize(nil, long), len(wholeList(t, nil, long))+len("\n"))
}
