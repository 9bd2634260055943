package embedded

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/queuetest"
)

// contents is all that a store has on disk.
type contents struct {
	jobs       map[uuid.UUID]job
	records    map[uuid.UUID]record
	outcomes   map[uuid.UUID]bool
	reported   map[uuid.UUID]bool
	dead       map[uuid.UUID]bool
	unique     map[string]uuid.UUID
	ready      map[uuid.UUID]bool
	inLane     map[queue.Lane][]readyJob
	leases     map[uuid.UUID]uuid.UUID // tokens by job
	ended      map[uuid.UUID]uint64    // leases of a job
	attempts   map[uuid.UUID]uint64    // a keys of a job
	hidden     map[uuid.UUID]bool
	tallies    map[queue.Lane]*tally
	edges      map[edge]dependent
	due        map[string]bool // t keys
	onceHashes map[string]time.Time
}

type edge struct{ dependency, dependent uuid.UUID }

// audit reads the whole store and requires that every index agrees with the records, on disk
// and in memory. Nobody else may use the store meanwhile.
func (s *Store) audit(t queuetest.TB) {
	t.Helper()
	c := s.readContents(t)
	s.auditRecords(t, c)
	s.auditEdges(t, c)
	s.auditDue(t, c)
	s.auditMemory(t, c)
}

func (s *Store) readContents(t queuetest.TB) *contents {
	t.Helper()
	c := &contents{
		jobs: make(map[uuid.UUID]job), records: make(map[uuid.UUID]record), outcomes: make(map[uuid.UUID]bool),
		reported: make(map[uuid.UUID]bool), dead: make(map[uuid.UUID]bool), unique: make(map[string]uuid.UUID),
		ready: make(map[uuid.UUID]bool), inLane: make(map[queue.Lane][]readyJob), leases: make(map[uuid.UUID]uuid.UUID),
		ended: make(map[uuid.UUID]uint64), edges: make(map[edge]dependent), due: make(map[string]bool),
		onceHashes: make(map[string]time.Time),
		attempts:   make(map[uuid.UUID]uint64), hidden: make(map[uuid.UUID]bool), tallies: make(map[queue.Lane]*tally),
	}
	for _, read := range []func(key, value []byte) (bool, error){
		func(key, value []byte) (bool, error) { // what the others are compared with
			if key[0] != prefixJob {
				return true, nil
			}
			id := uuid.UUID(key[1:])
			j, err := decodeJob(id, value, true)
			require.NoError(t, err)
			c.jobs[id] = j
			return true, nil
		},
		func(key, value []byte) (bool, error) {
			if key[0] != prefixRecord {
				return true, nil
			}
			id := uuid.UUID(key[1:])
			r, err := decodeRecord(id, value)
			require.NoError(t, err)
			c.records[id] = r
			return true, nil
		},
		func(key, value []byte) (bool, error) { c.read(t, key, value); return true, nil },
	} {
		require.NoError(t, s.scan([]byte{0}, []byte{0xff}, read))
	}
	return c
}

func (c *contents) read(t queuetest.TB, key, value []byte) {
	t.Helper()
	switch key[0] {
	case prefixMeta, prefixJob, prefixRecord:
	case prefixOutcome:
		id := uuid.UUID(key[1:])
		_, err := decodeOutcome(id, value)
		require.NoError(t, err)
		c.outcomes[id] = true
	case prefixReported:
		id := uuid.UUID(key[1:])
		_, _, err := decodeReported(id, value)
		require.NoError(t, err)
		c.reported[id] = true
	case prefixDead:
		c.dead[uuid.UUID(key[1:])] = true
	case prefixUnique:
		c.unique[string(key)] = uuid.UUID(value)
	case prefixReady:
		id, queued, err := decodeReady(value)
		require.NoError(t, err)
		lane, at, ok := laneOfReadyKey(key)
		require.True(t, ok)
		if !queued.IsZero() {
			require.NotContains(t, c.records, id, "a job that has a record is not as it was enqueued")
			c.records[id] = enqueuedRecord(c.jobs[id].number, queued, at.priority())
		}
		require.Equal(t, c.jobs[id].Lane(), lane)
		require.Equal(t, positionOf(c.records[id].Priority, c.jobs[id].place), at)
		require.False(t, c.ready[id], "job %s stands in line twice", id)
		c.ready[id] = true
		c.inLane[lane] = append(c.inLane[lane], readyJob{at: at, id: id})
	case prefixDependent:
		id := uuid.UUID(key[1:17])
		d, err := decodeDependent(id, value)
		require.NoError(t, err)
		j, ok := c.jobs[d.id]
		if !ok || j.place != placeOfDependentKey(key) || !slices.Contains(j.DependencyIDs(), id) {
			t.Fatalf("job %s is not the dependent of %s that the index says", d.id, id)
		}
		c.edges[edge{id, d.id}] = d
	case prefixRunning:
		id := uuid.UUID(value)
		require.Equal(t, runningKey(nil, c.jobs[id].place), key)
		c.leases[id] = c.records[id].Token
	case prefixEndedLease:
		l, err := decodeEndedLease(value)
		require.NoError(t, err)
		if r, ok := c.records[l.JobID]; !ok || l.Attempt > r.Attempt {
			t.Fatalf("attempt %d of job %s never was", l.Attempt, l.JobID)
		}
		c.ended[l.JobID]++
	case prefixAttempt:
		id := uuid.UUID(key[1:17])
		a, err := decodeAttempt(id, value)
		require.NoError(t, err)
		require.Equal(t, attemptKey(nil, id, a.Number), key)
		c.attempts[id]++
	case prefixHidden:
		c.hidden[uuid.UUID(key[1:])] = true
	case prefixTally:
		tally, err := decodeTally(key, value)
		require.NoError(t, err)
		c.tallies[tally.lane] = tally
	case prefixDue:
		c.due[string(key)] = true
	case prefixOnce:
		entry, err := decodeOnce(value)
		require.NoError(t, err)
		c.onceHashes[string(key[1:])] = entry.until
	case prefixSettlement, prefixRevival:
		t.Fatalf("a settlement or a retry was left behind: %x", key)
	default:
		t.Fatalf("unknown key %x", key)
	}
}

// auditRecords compares what stands once for each job.
func (s *Store) auditRecords(t queuetest.TB, c *contents) {
	t.Helper()
	require.Len(t, c.records, len(c.jobs))
	unique := 0
	counted := make(map[queue.Lane]*queue.Counts)
	for id, j := range c.jobs {
		r, ok := c.records[id]
		require.True(t, ok, "job %s has no record", id)
		require.Equal(t, r.State == queue.Pending, c.ready[id], "job %s is %s", id, r.State)
		token, leased := c.leases[id]
		require.Equal(t, r.State == queue.Running, leased, "job %s is %s", id, r.State)
		require.Equal(t, r.Token, token)
		require.Equal(t, r.State == queue.Finished || r.State == queue.Failed, c.outcomes[id], "job %s is %s", id, r.State)
		require.Equal(t, !r.deleted && (r.State == queue.Failed || r.State == queue.Canceled), c.dead[id], "job %s is %s", id, r.State)
		require.Equal(t, r.hasReported, c.reported[id], "what was reported of job %s", id)
		require.Equal(t, r.State.Over(), !r.Finished.IsZero())
		require.Equal(t, j.number, r.lane)
		require.Equal(t, r.deleted, c.hidden[id])
		if !r.deleted {
			if counted[j.Lane()] == nil {
				counted[j.Lane()] = new(queue.Counts)
			}
			counted[j.Lane()][r.State]++
		}
		untold := uint64(0) // leases that the record tells of
		if r.State == queue.Running || r.endedToken != uuid.Nil {
			untold = 1
		}
		if r.deleted {
			require.Zero(t, untold+c.ended[id]+c.attempts[id])
			continue
		}
		require.Equal(t, r.Attempt, c.attempts[id]+untold, "attempts of job %s, which is %s", id, r.State)
		require.Equal(t, j.UniqueKey != "", r.hasUniqueKey)
		require.Equal(t, j.Timeout, r.timeout)
		require.Equal(t, j.HeartbeatTimeout, r.heartbeatTimeout)
		if r.hasUniqueKey && !r.State.Over() {
			unique++
			require.Equal(t, id, c.unique[string(uniqueKey(nil, j.Lane(), j.UniqueKey))])
		}
		live := uint64(0)
		if leased {
			live = 1
		}
		require.Equal(t, r.Attempt, c.ended[id]+live, "leases of job %s", id)
	}
	require.Len(t, c.unique, unique)
	require.Len(t, c.tallies, len(counted))
	for lane, want := range counted {
		require.Equal(t, *want, s.tallies.byLane[lane].counts, "jobs of lane %v", lane)
		require.Equal(t, s.tallies.byLane[lane].encode(nil), c.tallies[lane].encode(nil))
	}
}

// auditEdges compares records with what their dependencies are.
func (s *Store) auditEdges(t queuetest.TB, c *contents) {
	t.Helper()
	for id, j := range c.jobs {
		r := c.records[id]
		if r.deleted {
			continue
		}
		open := uint64(0)
		for _, e := range j.Dependencies {
			d, ok := c.edges[edge{e.ID, id}]
			require.True(t, ok, "dependency %s of job %s does not know it", e.ID, id)
			require.Equal(t, e.If, d.condition)
			other, there := c.records[e.ID]
			if !there || other.deleted && d.gone != 0 {
				require.True(t, d.gone.Over() && d.settled, "dependency %s of job %s is missing", e.ID, id)
				continue
			}
			require.Zero(t, d.gone)
			if other.State.Over() {
				continue
			}
			require.True(t, other.hasDependents, "job %s", e.ID)
			if !r.State.Over() {
				open++
				require.Equal(t, other.Generation, d.generation, "job %s does not know of the retry of %s", id, e.ID)
				require.False(t, d.settled, "job %s will not be told of the end of %s", id, e.ID)
			}
		}
		if r.State != queue.Running {
			require.Equal(t, r.State == queue.Blocked, r.Open > 0, "job %s is %s", id, r.State)
		}
		require.Equal(t, open, r.Open, "open dependencies of job %s", id)
	}
}

// auditDue compares what falls due with what should.
func (s *Store) auditDue(t queuetest.TB, c *contents) {
	t.Helper()
	want := make(map[string]bool)
	for id := range c.jobs {
		r := c.records[id]
		if r.State == queue.Scheduled {
			want[string(dueKey(nil, r.RunAt.UnixMicro(), dueToRun, id[:]))] = true
		}
		if !r.ExpiresAt.IsZero() {
			want[string(dueKey(nil, r.ExpiresAt.UnixMicro(), dueToExpire, id[:]))] = true
		}
	}
	for hash, until := range c.onceHashes {
		want[string(dueKey(nil, until.UnixMicro(), dueToForget, []byte(hash)))] = true
	}
	for key := range c.due {
		if e, ok := splitDueKey([]byte(key)); ok && e.kind == dueToForget {
			want[key] = true // of a call whose place another one has taken
		}
	}
	require.Equal(t, want, c.due)
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range c.due {
		e, ok := splitDueKey([]byte(key))
		require.True(t, ok)
		require.LessOrEqual(t, string(s.due.from), key)
		require.LessOrEqual(t, s.due.next, e.at)
	}
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
	deadlines := 0
	for id, token := range c.leases {
		l := s.leases.get(token)
		require.NotNil(t, l, "the lease of job %s is not in memory", id)
		require.Equal(t, id, l.jobID)
		require.Equal(t, c.records[id], l.record)
		require.Equal(t, c.records[id].heartbeatTimeout, l.heartbeatTimeout)
		require.Equal(t, c.records[id].timeout > 0, !l.deadline.IsZero())
		if !l.deadline.IsZero() {
			deadlines++
		}
	}
	for id, r := range c.records {
		if cached, ok := s.records.get(id); ok {
			require.Equal(t, r, cached)
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
