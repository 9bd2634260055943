package metrics

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/buildinfo"
	"github.com/longshore-queue/longshore/internal/queue"
)

func newRegistry() *Registry {
	return New(buildinfo.Info{Version: "1", Commit: "c", Go: "go1"})
}

// scrape returns what a scrape is answered with.
func scrape(t *testing.T, r *Registry) string {
	t.Helper()
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", http.NoBody))
	require.Equal(t, 200, w.Code)
	return w.Body.String()
}

// requireLine fails unless a metric of ours has a value.
func requireLine(t *testing.T, text, line string) {
	t.Helper()
	metric, _, _ := strings.Cut(line, "{")
	var alike []string
	for found := range strings.Lines(text) {
		if found == "longshore_"+line+"\n" {
			return
		}
		if strings.HasPrefix(found, "longshore_"+metric) {
			alike = append(alike, found)
		}
	}
	require.Fail(t, "there is no "+line, "%s", alike)
}

// lanes are a Queue of what its pages say.
type lanes []queue.LaneInfo

func (l lanes) Queues(_ context.Context, listing queue.LaneListing) (page queue.LanePage, err error) {
	page.Now = time.Unix(1000, 0)
	for i := range l {
		page.Total.Add(&l[i].Counts)
		switch after := l[i].Lane.Type > listing.After.Type; {
		case after && len(page.Queues) < listing.Limit:
			page.Queues = append(page.Queues, l[i])
		case after:
			page.More = true
		}
	}
	return page, nil
}

func manyLanes(n int) (many lanes) {
	for i := range n {
		info := queue.LaneInfo{Lane: queue.Lane{Channel: "c", Type: fmt.Sprintf("t%06d", i)}, OldestReady: time.Unix(990-int64(i%7), 0)}
		info.Counts[queue.Pending] = 1
		many = append(many, info)
	}
	return many
}

type broken struct{}

func (broken) Queues(context.Context, queue.LaneListing) (queue.LanePage, error) {
	return queue.LanePage{}, errors.New("postgres://user:secret@host")
}

func TestNamesAreAsPrometheusWantsThem(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	r.AddQueue(manyLanes(1))
	r.Jobs.Moved([]queue.Move{{Lane: queue.Lane{Channel: "c", Type: "t"}, To: queue.Pending, Took: -1}})
	r.Requests.Began()
	r.Requests.Ended("createJob", 201, time.Millisecond)
	problems, err := testutil.GatherAndLint(r.registry)
	require.NoError(t, err)
	require.Empty(t, problems)
}

func TestEveryMoveIsCountedOnce(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	lane := queue.Lane{Channel: "c", Type: "t"}
	move := func(from, to queue.State, end queue.End, took time.Duration) {
		r.Jobs.Moved([]queue.Move{{Lane: lane, From: from, To: to, End: end, Took: took}})
	}
	move(0, queue.Pending, 0, -1)
	move(queue.Pending, queue.Running, 0, 2*time.Second)
	for _, end := range []queue.End{queue.EndLost, queue.EndReleased, queue.EndReported, queue.EndTimedOut} {
		move(queue.Running, queue.Pending, end, time.Second)
		move(queue.Pending, queue.Running, 0, -1)
	}
	move(queue.Running, queue.Failed, queue.EndReported, time.Second)
	move(queue.Failed, queue.Pending, 0, -1)
	move(queue.Pending, queue.Canceled, 0, -1)
	move(queue.Canceled, 0, 0, -1)
	move(0, queue.Pending, 0, -1)
	move(queue.Pending, queue.Running, 0, -1)
	move(queue.Running, queue.Finished, queue.EndReported, -1)
	text := scrape(t, r)
	for _, line := range []string{
		`jobs_enqueued_total{channel="c",type="t"} 2`,
		`leases_granted_total{channel="c",type="t"} 6`,
		`jobs_requeued_total{cause="lost",channel="c",type="t"} 1`,
		`jobs_requeued_total{cause="released",channel="c",type="t"} 1`,
		`jobs_requeued_total{cause="retried",channel="c",type="t"} 1`,
		`jobs_requeued_total{cause="timeout",channel="c",type="t"} 1`,
		`jobs_ended_total{channel="c",outcome="failed",type="t"} 1`,
		`jobs_ended_total{channel="c",outcome="canceled",type="t"} 1`,
		`jobs_ended_total{channel="c",outcome="finished",type="t"} 1`,
		`jobs_restarted_total{channel="c",type="t"} 1`,
		`jobs_deleted_total{channel="c",type="t"} 1`,
		`job_wait_seconds_sum{channel="c",type="t"} 2`,
		`job_run_seconds_count{channel="c",type="t"} 5`,
	} {
		requireLine(t, text, line)
	}
}

func TestLanesBeyondTheBoundAreCountedTogether(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	for i := range 10 * MaxLanes {
		r.Jobs.Moved([]queue.Move{{Lane: queue.Lane{Channel: "c", Type: fmt.Sprintf("t%06d", i)}, To: queue.Pending, Took: -1}})
	}
	r.AddQueue(manyLanes(mostPages*queue.MaxPage + 17))
	text := scrape(t, r)
	require.Equal(t, MaxLanes+1, strings.Count(text, "\nlongshore_jobs_enqueued_total{"))
	requireLine(t, text, fmt.Sprintf("jobs_enqueued_total{channel=\"other\",type=\"other\"} %d", 9*MaxLanes))
	require.Equal(t, MaxLanes+1, strings.Count(text, "\nlongshore_oldest_ready_seconds{"))
	// Those that were not read are counted all the same.
	requireLine(t, text, fmt.Sprintf("jobs{channel=\"other\",state=\"pending\",type=\"other\"} %d", mostPages*queue.MaxPage+17-MaxLanes))
	requireLine(t, text, "oldest_ready_seconds{channel=\"other\",type=\"other\"} 16")
}

func TestBytesAreToldWhereTheyAreKnown(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	many := manyLanes(2)
	many[0].Bytes, many[1].Bytes = 1000, queue.UnknownBytes
	r.AddQueue(many)
	text := scrape(t, r)
	requireLine(t, text, `jobs_args_bytes{channel="c",type="t000000"} 1000`)
	require.NotContains(t, text, `longshore_jobs_args_bytes{channel="c",type="t000001"}`)

	r = newRegistry()
	r.AddQueue(manyLanes(mostPages*queue.MaxPage + 1))
	text = scrape(t, r)
	require.Equal(t, MaxLanes, strings.Count(text, "\nlongshore_jobs_args_bytes{"))
	require.NotContains(t, text, `longshore_jobs_args_bytes{channel="other"`, "not all were read")
}

func TestAStoreThatIsDownIsSaidToBeAndLeavesTheRest(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	r.AddQueue(broken{})
	text := scrape(t, r)
	requireLine(t, text, "store_up 0")
	require.Contains(t, text, "\nlongshore_build_info{")
	require.NotContains(t, text, "\nlongshore_jobs{")
	require.NotContains(t, text, "secret")
}

func TestALaneThatIsEmptyNowHasNoJobs(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	r.AddQueue(lanes(nil))
	r.Jobs.Moved([]queue.Move{{Lane: queue.Lane{Channel: "c", Type: "t"}, To: queue.Pending, Took: -1}})
	requireLine(t, scrape(t, r), "jobs{channel=\"c\",state=\"pending\",type=\"t\"} 0")
}

func TestRequestsAreCountedByOperationAndStatus(t *testing.T) {
	t.Parallel()
	r := newRegistry()
	for range 3 {
		r.Requests.Began()
	}
	r.Requests.Ended("createJob", 201, 20*time.Millisecond)
	r.Requests.Ended("", 404, time.Millisecond)
	r.Requests.Waits()
	r.Requests.Authenticated("refused")
	r.Requests.Limited("quota")
	text := scrape(t, r)
	for _, line := range []string{
		`http_requests_in_flight 1`, `long_polls 1`, `authentications_total{outcome="refused"} 1`, `authentications_total{outcome="accepted"} 0`,
		`limited_total{limit="quota"} 1`, `limited_total{limit="rate"} 0`,
		`http_requests_total{operation="createJob",status="201"} 1`,
		`http_requests_total{operation="none",status="404"} 1`,
		`http_request_seconds_bucket{operation="createJob",le="0.025"} 1`,
	} {
		requireLine(t, text, line)
	}
}
