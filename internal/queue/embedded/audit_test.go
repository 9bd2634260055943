package embedded

import (
	"encoding/binary"
	"slices"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/queuetest"
)

// audit reads the whole store and requires that every index agrees with the records, on disk
// and in memory. Nobody else may use the store meanwhile.
func (s *Store) audit(t queuetest.TB) {
	t.Helper()
	jobs := make(map[uuid.UUID]job)
	records := make(map[uuid.UUID]record)
	outcomes := make(map[uuid.UUID]bool)
	ready := make(map[uuid.UUID]bool)
	leases := make(map[uuid.UUID]uuid.UUID) // by job
	ended := make(map[uuid.UUID]uint64)     // leases of a job
	readyInLane := make(map[queue.Lane][]readyJob)
	highest := uint64(0)
	open := make(map[uuid.UUID]uint64)       // dependencies not over, from the edges
	dependents := make(map[uuid.UUID]uint64) // edges that are to be told
	type edge struct{ dependency, dependent uuid.UUID }
	edges := make(map[edge]bool)

	require.NoError(t, s.scan([]byte{prefixJob}, []byte{prefixJob + 1}, func(key, value []byte) (bool, error) {
		id := uuid.UUID(key[1:])
		j, err := decodeJob(id, value, true)
		require.NoError(t, err)
		jobs[id] = j
		highest = max(highest, j.place)
		return true, nil
	}))
	require.NoError(t, s.scan([]byte{prefixRecord}, []byte{prefixRecord + 1}, func(key, value []byte) (bool, error) {
		id := uuid.UUID(key[1:])
		r, err := decodeRecord(id, value)
		require.NoError(t, err)
		records[id] = r
		return true, nil
	}))
	require.NoError(t, s.scan([]byte{0}, []byte{0xff}, func(key, value []byte) (bool, error) {
		switch key[0] {
		case prefixMeta, prefixJob, prefixRecord:
		case prefixOutcome:
			id := uuid.UUID(key[1:])
			_, err := decodeOutcome(id, value)
			require.NoError(t, err)
			outcomes[id] = true
		case prefixReady:
			id, queued, err := decodeReady(value)
			require.NoError(t, err)
			if !queued.IsZero() {
				require.NotContains(t, records, id, "a job that has a record is not as it was enqueued")
				records[id] = enqueuedRecord(queued)
			}
			r, err := s.readRecord(id)
			require.NoError(t, err)
			require.Equal(t, records[id], r)
			lane, place, ok := laneOfReadyKey(key)
			require.True(t, ok)
			require.Equal(t, jobs[id].Lane(), lane)
			require.Equal(t, jobs[id].place, place)
			require.False(t, ready[id], "job %s stands in line twice", id)
			ready[id] = true
			readyInLane[lane] = append(readyInLane[lane], readyJob{place: place, id: id})
		case prefixDependent:
			id := uuid.UUID(key[1:17])
			dependent, _, err := decodeDependent(id, value)
			require.NoError(t, err)
			if j, ok := jobs[dependent]; !ok || j.place != placeOfDependentKey(key) || !slices.Contains(j.Dependencies, id) {
				t.Fatalf("job %s is not the dependent of %s that the index says", dependent, id)
			}
			edges[edge{id, dependent}] = true
		case prefixRunning:
			id := uuid.UUID(value)
			require.Equal(t, runningKey(nil, jobs[id].place), key)
			leases[id] = records[id].Token
		case prefixEndedLease:
			l, err := decodeEndedLease(value)
			require.NoError(t, err)
			if r, ok := records[l.JobID]; !ok || l.Attempt > r.Attempt {
				t.Fatalf("attempt %d of job %s never was", l.Attempt, l.JobID)
			}
			ended[l.JobID]++
		case prefixSettlement:
			t.Fatalf("a settlement was left behind")
		default:
			t.Fatalf("unknown key %x", key)
		}
		return true, nil
	}))

	require.Len(t, records, len(jobs))
	for id, j := range jobs {
		r, ok := records[id]
		require.True(t, ok, "job %s has no record", id)
		for _, dependency := range j.Dependencies {
			if !edges[edge{dependency, id}] {
				t.Fatalf("dependency %s of job %s does not know it", dependency, id)
			}
			if !records[dependency].State.Over() {
				open[id]++
				dependents[dependency]++
			}
		}
		require.Equal(t, r.State == queue.Pending, ready[id], "job %s is %s", id, r.State)
		token, leased := leases[id]
		require.Equal(t, r.State == queue.Running, leased, "job %s is %s", id, r.State)
		require.Equal(t, r.Token, token)
		require.Equal(t, r.State == queue.Finished || r.State == queue.Failed, outcomes[id], "job %s is %s", id, r.State)
		require.Equal(t, r.State.Over(), !r.Finished.IsZero())
		if r.State == queue.Blocked {
			require.Positive(t, r.Open)
		} else {
			require.Zero(t, r.Open)
		}
		live := uint64(0)
		if leased {
			live = 1
		}
		require.Equal(t, r.Attempt, ended[id]+live, "leases of job %s", id)
	}
	for id := range jobs {
		if records[id].State == queue.Blocked {
			require.Equal(t, open[id], records[id].Open, "job %s", id)
		} else if !records[id].State.Over() {
			require.Zero(t, open[id], "job %s runs before its dependencies are over", id)
		}
		require.True(t, dependents[id] == 0 || records[id].hasDependents, "job %s", id)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	require.LessOrEqual(t, highest, s.sequence)
	if value, found, err := s.get([]byte(keySequence)); found {
		require.NoError(t, err)
		require.Equal(t, binary.BigEndian.Uint64(value), s.ceiling)
	}
	for lane, jobs := range readyInLane {
		l := s.lanes[lane]
		require.NotNil(t, l, "lane %v is not in memory", lane)
		require.LessOrEqual(t, len(l.window), 2*s.limits.windowRefill)
		inWindow := 0
		for _, j := range jobs {
			if j.place <= l.end {
				require.Equal(t, j, l.window[inWindow])
				inWindow++
			} else {
				require.True(t, l.more)
			}
		}
		require.Len(t, l.window, inWindow)
	}
	for lane, l := range s.lanes {
		require.True(t, l.more || len(readyInLane[lane]) > 0, "lane %v is empty", lane)
	}
	for id, token := range leases {
		l := s.leases.get(token)
		require.NotNil(t, l, "the lease of job %s is not in memory", id)
		require.Equal(t, id, l.jobID)
		require.Equal(t, records[id], l.record)
	}
	for id, r := range records {
		if cached, ok := s.records.get(id); ok {
			require.Equal(t, r, cached)
		}
	}
	require.Len(t, s.leases.byToken, len(leases))
	require.Equal(t, len(leases), s.leases.byBeat.Len())
}
