package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/longshore-queue/longshore/internal/queue/embedded"
)

// Embedded counts what the embedded engine does. It is an embedded.Observer.
type Embedded struct {
	*Jobs
	syncs, callers prometheus.Observer
}

// Embedded returns what the embedded engine tells. It is called once.
func (r *Registry) Embedded() *Embedded {
	return &Embedded{
		Jobs:    r.Jobs,
		syncs:   r.factory.histogram("sync_seconds", "How long syncs of the log took: one for all callers that gathered meanwhile.", storeBuckets()),
		callers: r.factory.histogram("sync_callers", "How many callers have waited for the same sync of the log.", sizeBuckets()),
	}
}

// Synced is told of each sync.
func (e *Embedded) Synced(took time.Duration, callers int) {
	e.syncs.Observe(took.Seconds())
	e.callers.Observe(float64(callers))
}

// AddEmbedded has figures of a store be told.
func (r *Registry) AddEmbedded(read func() (embedded.Stats, error)) {
	type stats = embedded.Stats
	addFigures(r, read, []figure[stats]{
		{"leases", "Leases that are live.", false, func(s stats) float64 { return float64(s.Leases) }},
		{"disk_bytes", "What the files of the store take on disk.", false, func(s stats) float64 { return float64(s.DiskBytes) }},
		{"disk_log_bytes", "What the log of the store takes on disk.", false, func(s stats) float64 { return float64(s.WALBytes) }},
		{"pebble_memtable_bytes", "Changes that are in the log only.", false, func(s stats) float64 { return float64(s.MemTableBytes) }},
		{"pebble_compaction_debt_bytes", "What is to be merged until the files of the store are in order.", false, func(s stats) float64 { return float64(s.CompactionDebtBytes) }},
		{"pebble_compactions_total", "How often files of the store were merged.", true, func(s stats) float64 { return float64(s.Compactions) }},
		{"pebble_flushes_total", "How often changes were taken from the log into files.", true, func(s stats) float64 { return float64(s.Flushes) }},
		{"pebble_level_zero_files", "Files of the store that were not merged yet.", false, func(s stats) float64 { return float64(s.LevelZeroFiles) }},
		{"pebble_read_amplification", "In how many places a read may have to look.", false, func(s stats) float64 { return float64(s.ReadAmplification) }},
		{"pebble_cache_hits_total", "Blocks that were found in the cache.", true, func(s stats) float64 { return float64(s.CacheHits) }},
		{"pebble_cache_misses_total", "Blocks that were not found in the cache.", true, func(s stats) float64 { return float64(s.CacheMisses) }},
		{"pebble_written_bytes_total", "What was written to the log and to files, merging included.", true, func(s stats) float64 { return float64(s.BytesWritten) }},
		{"pebble_merge_read_bytes_total", "What was read to merge files.", true, func(s stats) float64 { return float64(s.BytesRead) }},
	})
}
