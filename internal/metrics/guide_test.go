package metrics

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/embedded"
	"github.com/longshore-queue/longshore/internal/queue/postgres"
)

type upkeep struct{}

func (upkeep) Heartbeats(context.Context, time.Duration) ([]uuid.UUID, error) { return nil, nil }
func (upkeep) IdFromToken(context.Context, uuid.UUID) (uuid.UUID, error)      { return uuid.Nil, nil }
func (upkeep) Job(context.Context, uuid.UUID) (queue.Job, error)              { return queue.Job{}, nil }
func (upkeep) Prune(context.Context, time.Time) (bool, error)                 { return true, nil }

func (upkeep) RequeueOrFinishJob(context.Context, uuid.UUID, uint64, queue.Outcome) (queue.State, error) {
	return queue.Pending, nil
}

// full returns a registry with everything that a server on either engine may tell.
func full() *Registry {
	r := newRegistry()
	r.AddQueue(manyLanes(1))
	r.Embedded().Synced(time.Millisecond, 1)
	r.AddEmbedded(func() (embedded.Stats, error) { return embedded.Stats{}, nil })
	r.Postgres().Round(time.Millisecond, 1, false)
	r.AddPostgres(func() postgres.Stats { return postgres.Stats{} })
	r.Reaped(upkeep{})
	r.Pruned(upkeep{})
	r.Jobs.Moved([]queue.Move{{Lane: queue.Lane{Channel: "c", Type: "t"}, To: queue.Pending, Took: -1}})
	r.Requests.Began()
	r.Requests.Ended("createJob", 201, time.Millisecond)
	return r
}

// ours are the metrics of this server's own, by name.
func ours(t *testing.T) (families []*dto.MetricFamily) {
	t.Helper()
	all, err := full().registry.Gather()
	require.NoError(t, err)
	for _, family := range all {
		if strings.HasPrefix(family.GetName(), namespace+"_") {
			families = append(families, family)
		}
	}
	return families
}

func TestTheGuideHasEveryMetric(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/operations/monitoring.md")
	require.NoError(t, err)
	var table strings.Builder
	for _, family := range ours(t) {
		var labels []string
		for _, label := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+label.GetName()+"`")
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", family.GetName(), strings.ToLower(family.GetType().String()),
			strings.Join(labels, ", "), family.GetHelp())
	}
	require.Contains(t, string(guide), table.String(), "this is the table to be in docs/operations/monitoring.md")
}

func TestWhatIsDeployedAsksForMetricsThatThereAre(t *testing.T) {
	t.Parallel()
	known := make(map[string]bool)
	for _, family := range ours(t) {
		known[family.GetName()] = true
		if family.GetType() == dto.MetricType_HISTOGRAM {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				known[family.GetName()+suffix] = true
			}
		}
	}
	for _, file := range []string{"grafana/longshore.json", "prometheus/longshore.rules.yml"} {
		text, err := os.ReadFile("../../deploy/" + file)
		require.NoError(t, err)
		found := regexp.MustCompile(`\blongshore_\w+`).FindAllString(string(text), -1)
		require.Greater(t, len(found), 10, file)
		for _, name := range found {
			require.True(t, known[name], "%s asks for %s", file, name)
		}
	}
}
