package river

import (
	"log/slog" //nolint:depguard // River's logger is of that package
	"time"

	"github.com/riverqueue/river"

	"github.com/longshore-queue/longshore/bench/internal/peer"
)

const (
	// fetchPoll is what River's own benchmark sets, where the default is a second. It matters
	// when a notification is missed only.
	fetchPoll = 20 * time.Millisecond
	// mostWorkers is what River's own benchmark sets. A fetch takes as many jobs as there are
	// workers without one, so it is the limit of a fetch too.
	mostWorkers = 2_000
	// addingConnections is how many connections there are to add jobs by: one for each of many
	// callers. With 4 or 16 instead, which they share, single jobs were added no faster, and
	// took more of the processors.
	addingConnections = 64
	// workingConnections is how many there are to work by, of which River takes four or five.
	workingConnections = 16
)

// settings are what River is told; everything else is its default, the completion of jobs in
// batches among it.
func settings(workers *river.Workers, logger *slog.Logger) *river.Config {
	return &river.Config{
		FetchCooldown:     river.FetchCooldownMin,
		FetchPollInterval: fetchPoll,
		Logger:            logger,
		Queues: map[string]river.QueueConfig{
			river.QueueDefault: {MaxWorkers: mostWorkers},
			peer.OtherLane:     {MaxWorkers: mostWorkers},
		},
		Workers: workers,
	}
}
