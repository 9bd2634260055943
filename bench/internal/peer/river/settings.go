package river

import (
	"log/slog" //nolint:depguard // River's logger is of that package
	"time"

	"github.com/riverqueue/river"
)

const (
	// fetchPoll is what River's own benchmark sets, where the default is a second. It matters
	// when a notification is missed only.
	fetchPoll = 20 * time.Millisecond
	// mostWorkers is what River's own benchmark sets. A fetch takes as many jobs as there are
	// workers without one, so it is the limit of a fetch too.
	mostWorkers = 2_000
	// poolSize is how many connections there are to work with, and as many more to add with. On two
	// processors it made no difference for batches whether there were 8 or 64, and single jobs
	// were added fastest by 16.
	poolSize = 16
)

// settings are what River is told; everything else is its default, the completion of jobs in
// batches among it.
func settings(workers *river.Workers, logger *slog.Logger) *river.Config {
	return &river.Config{
		FetchCooldown:     river.FetchCooldownMin,
		FetchPollInterval: fetchPoll,
		Logger:            logger,
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: mostWorkers}},
		Workers:           workers,
	}
}
