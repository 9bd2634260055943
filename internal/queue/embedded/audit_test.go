package embedded

import (
	"context"
	"encoding/binary"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/queuetest"
)

// audit requires that every index agrees with the jobs, on disk and in memory. Nobody else may use
// the store meanwhile.
func (s *Store) audit(t queuetest.TB) {
	t.Helper()
	a, err := auditAll(context.Background(), s.reader)
	require.NoError(t, err)
	require.Empty(t, a.Differences)
	s.auditUnfinished(t)
	s.auditMemory(t, s.readContents(t))
}

// auditUnfinished requires that no settlement and no retry was left behind.
func (s *Store) auditUnfinished(t queuetest.TB) {
	t.Helper()
	for _, prefix := range []byte{prefixSettlement, prefixRevival} {
		require.NoError(t, s.scan([]byte{prefix}, []byte{prefix + 1}, func(key, _ []byte) (bool, error) {
			t.Fatalf("a settlement or a retry was left behind: %x", key)
			return false, nil
		}))
	}
}

// contents is what a store has on disk of what it keeps in memory too.
type contents struct {
	jobs    map[uuid.UUID]job
	records map[uuid.UUID]record
	inLane  map[queue.Lane][]readyJob
	leases  map[uuid.UUID]uuid.UUID // tokens by job
	due     []string                // t keys
	tallies map[queue.Lane]*tally
}

func (s *Store) readContents(t queuetest.TB) *contents {
	t.Helper()
	c := &contents{
		jobs: make(map[uuid.UUID]job), records: make(map[uuid.UUID]record), inLane: make(map[queue.Lane][]readyJob),
		leases: make(map[uuid.UUID]uuid.UUID), tallies: make(map[queue.Lane]*tally),
	}
	read := func(prefix byte, use func(key, value []byte)) {
		require.NoError(t, s.scan([]byte{prefix}, []byte{prefix + 1}, func(key, value []byte) (bool, error) {
			use(key, value)
			return true, nil
		}))
	}
	read(prefixJob, func(key, value []byte) {
		j, err := decodeJob(uuid.UUID(key[1:]), value, true)
		require.NoError(t, err)
		c.jobs[j.ID] = j
	})
	read(prefixRecord, func(key, value []byte) {
		id := uuid.UUID(key[1:])
		r, err := decodeRecord(id, value)
		require.NoError(t, err)
		c.records[id] = r
	})
	read(prefixReady, func(key, value []byte) {
		id, queued, err := decodeReady(value)
		require.NoError(t, err)
		lane, at, _ := laneOfReadyKey(key)
		if !queued.IsZero() {
			_, stored := c.records[id]
			require.False(t, stored, "job %s has a record, and is not as it was enqueued", id)
			c.records[id] = enqueuedRecord(c.jobs[id].number, queued, at.priority())
		}
		c.inLane[lane] = append(c.inLane[lane], readyJob{at: at, id: id})
	})
	read(prefixRunning, func(_, value []byte) { c.leases[uuid.UUID(value)] = c.records[uuid.UUID(value)].Token })
	read(prefixDue, func(key, _ []byte) { c.due = append(c.due, string(key)) })
	read(prefixTally, func(key, value []byte) {
		tally, err := decodeTally(key, value, formatVersion)
		require.NoError(t, err)
		c.tallies[tally.lane] = tally
	})
	return c
}

// unsized returns the record as it is on disk, after it has compared its size, if it has one.
func (c *contents) unsized(t queuetest.TB, id uuid.UUID, r record) record {
	t.Helper()
	if r.size != 0 {
		require.Equal(t, c.jobs[id].size, r.size)
	}
	r.size = 0
	return r
}

// auditMemory compares what is kept in memory with what is on disk.
func (s *Store) auditMemory(t queuetest.TB, c *contents) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range c.jobs {
		require.LessOrEqual(t, j.place, s.sequence)
	}
	if value, found, err := s.get([]byte(keySequence)); found {
		require.NoError(t, err)
		require.Equal(t, binary.BigEndian.Uint64(value), s.ceiling)
	}
	for _, key := range c.due {
		e, ok := splitDueKey([]byte(key))
		require.True(t, ok)
		require.LessOrEqual(t, string(s.due.from), key)
		require.LessOrEqual(t, s.due.next, e.at)
	}
	for lane, jobs := range c.inLane {
		l := s.lanes[lane]
		require.NotNil(t, l, "lane %v is not in memory", lane)
		require.LessOrEqual(t, len(l.window), 2*s.limits.windowRefill)
		inWindow := 0
		for _, j := range jobs {
			if j.at.compare(l.end) <= 0 {
				require.Equal(t, j, l.window[inWindow])
				inWindow++
			} else {
				require.True(t, l.more)
			}
		}
		require.Len(t, l.window, inWindow)
	}
	for lane, l := range s.lanes {
		require.True(t, l.more || len(c.inLane[lane]) > 0, "lane %v is empty", lane)
	}
	require.Len(t, s.tallies.byNumber, len(c.tallies))
	require.Len(t, s.tallies.byLane, len(c.tallies))
	require.Len(t, s.tallies.sorted, len(c.tallies))
	for lane, stored := range c.tallies {
		inMemory := s.tallies.byLane[lane]
		require.Equal(t, stored.encode(nil), inMemory.encode(nil))
		require.Equal(t, stored.counts[queue.Pending]-inMemory.counts[queue.Running], inMemory.counts[queue.Pending])
		require.False(t, inMemory.touched)
		require.Zero(t, inMemory.byBytes)
	}
	deadlines := 0
	for id, token := range c.leases {
		l := s.leases.get(token)
		require.NotNil(t, l, "the lease of job %s is not in memory", id)
		require.Equal(t, id, l.jobID)
		require.Equal(t, c.records[id], c.unsized(t, id, l.record))
		require.Equal(t, c.records[id].heartbeatTimeout, l.heartbeatTimeout)
		require.Equal(t, c.records[id].timeout > 0, !l.deadline.IsZero())
		if !l.deadline.IsZero() {
			deadlines++
		}
	}
	for id, r := range c.records {
		if cached, ok := s.records.get(id); ok {
			require.Equal(t, r, c.unsized(t, id, cached))
		}
	}
	require.Len(t, s.leases.byToken, len(c.leases))
	require.Len(t, s.leases.byDeadline, deadlines)
	beats := 0
	for timeout, list := range s.leases.byBeat {
		require.Positive(t, list.Len(), "the list of timeout %s is empty", timeout)
		beats += list.Len()
	}
	require.Equal(t, len(c.leases), beats)
	require.Empty(t, s.reviving)
	require.Empty(t, s.unsettled)
}
