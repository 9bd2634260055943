package embedded

import (
	"time"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Observer is told what a store does, to count it. Its methods are called by many at once, outside of
// every lock, and do not block.
type Observer interface {
	// Moved is told what one change has made of jobs, when all can see it. The slice is not used any
	// more after that.
	Moved(moves []queue.Move)
	// Claimed is told of a lease how long it took from the choice of the job until that was on disk.
	Claimed(took time.Duration)
	// Synced is told of a sync of the log how long it took, and how many callers have waited for it.
	Synced(took time.Duration, callers int)
}

// moved notes a move for the observer, if there is one. When the change meets an error nobody is told.
func (c *change) moved(lane queue.Lane, from, to queue.State, end queue.End, took time.Duration) {
	if c.store.observer != nil {
		c.moves = append(c.moves, queue.Move{Lane: lane, From: from, To: to, End: end, Took: took})
	}
}

// counted notes that a job is counted as something else. Leases have notes of their own: a job that goes
// from one to the next within a change is counted as running before and after.
func (c *change) counted(t *tally, from, to queue.State) {
	switch {
	case from == queue.Running:
	case to != queue.Running:
		c.moved(t.lane, from, to, 0, -1)
	case from == 0: // it was pending for an instant
		c.moved(t.lane, 0, queue.Pending, 0, -1)
	}
}

// Stats are figures of what is inside a store, as they are now.
type Stats struct {
	Leases int // that are live
	// DiskBytes is how much all files take, WALBytes how much of it the log does.
	DiskBytes, WALBytes uint64
	MemTableBytes       uint64
	// CompactionDebtBytes is how much is to be merged until the files are in order.
	CompactionDebtBytes  uint64
	Compactions, Flushes int64
	// LevelZeroFiles are files that are not merged at all yet, and ReadAmplification how many places a
	// read may have to look at.
	LevelZeroFiles          int64
	ReadAmplification       int
	CacheHits, CacheMisses  int64
	BytesWritten, BytesRead uint64 // to the log and the files, and by merging them
}

// Stats returns figures of the store. ErrUnavailable.
func (s *Store) Stats() (Stats, error) {
	if err := s.enter(); err != nil {
		return Stats{}, err
	}
	defer s.leave()
	m := s.db.Metrics()
	total := m.Total()
	return Stats{
		Leases:    s.leases.size(),
		DiskBytes: m.DiskSpaceUsage(), WALBytes: m.WAL.PhysicalSize, MemTableBytes: m.MemTable.Size,
		CompactionDebtBytes: m.Compact.EstimatedDebt, Compactions: m.Compact.Count, Flushes: m.Flush.Count,
		LevelZeroFiles: m.Levels[0].TablesCount, ReadAmplification: m.ReadAmp(),
		CacheHits: m.BlockCache.Hits, CacheMisses: m.BlockCache.Misses,
		BytesWritten: m.WAL.BytesWritten + total.TableBytesFlushed + total.TableBytesCompacted, BytesRead: total.TableBytesRead,
	}, nil
}
