package embedded

import (
	"container/heap"
	"container/list"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// lease is what is kept in memory of a lease that is not over.
type lease struct {
	token   uuid.UUID
	jobID   uuid.UUID
	lane    queue.Lane
	place   uint64 // the job's place in line, to put it back there
	holder  queue.Holder
	attempt uint64
	started time.Time
	record  record // the job's; guarded by Store.mu
	// size is that of the job's args, in bytes, as of its delivery; 0 before. It spares the end of the
	// lease a look, if the claim did not know it.
	size     atomic.Int64
	deadline time.Time // when the run has taken too long; zero for never
	// heartbeatTimeout is the job's own; 0 leaves it to the server.
	heartbeatTimeout time.Duration
	beat             time.Time     // guarded by leaseTable.mu
	byBeat           *list.Element // guarded by leaseTable.mu
	index            int           // in leaseTable.byDeadline; guarded by leaseTable.mu
}

// leaseTable holds the leases that are not over. Leases are added and removed under Store.mu
// as well, so that a change that found its lease here is fenced by it.
type leaseTable struct {
	mu      sync.Mutex // guards what follows
	byToken map[uuid.UUID]*lease
	// byBeat has the leases of each heartbeat timeout, oldest beat first; those that leave it
	// to the server are at 0.
	byBeat     map[time.Duration]*list.List // of *lease; none is empty
	byDeadline deadlines
}

// add adds a lease, and tells whether its run is now the first that will have taken too long.
func (t *leaseTable) add(l *lease) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byToken == nil {
		t.byToken = make(map[uuid.UUID]*lease)
		t.byBeat = make(map[time.Duration]*list.List)
	}
	t.byToken[l.token] = l
	beats := t.byBeat[l.heartbeatTimeout]
	if beats == nil {
		beats = list.New()
		t.byBeat[l.heartbeatTimeout] = beats
	}
	l.byBeat = beats.PushBack(l)
	if l.deadline.IsZero() {
		return false
	}
	heap.Push(&t.byDeadline, l)
	return l.index == 0
}

func (t *leaseTable) remove(token uuid.UUID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.byToken[token]
	if l == nil {
		return
	}
	delete(t.byToken, token)
	beats := t.byBeat[l.heartbeatTimeout]
	beats.Remove(l.byBeat)
	if beats.Len() == 0 {
		delete(t.byBeat, l.heartbeatTimeout)
	}
	if !l.deadline.IsZero() {
		heap.Remove(&t.byDeadline, l.index)
	}
}

// size is how many leases there are.
func (t *leaseTable) size() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.byToken)
}

// get returns the lease, or nil.
func (t *leaseTable) get(token uuid.UUID) *lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byToken[token]
}

// refresh sets the lease's beat, and returns the lease; nil if there is no such lease.
func (t *leaseTable) refresh(token uuid.UUID, now time.Time) *lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.byToken[token]
	if l == nil {
		return nil
	}
	l.beat = now
	t.byBeat[l.heartbeatTimeout].MoveToBack(l.byBeat)
	return l
}

// stale returns the tokens of the leases that have been silent for their own heartbeat timeout,
// or for olderThan if they have none.
func (t *leaseTable) stale(now time.Time, olderThan time.Duration) []uuid.UUID {
	t.mu.Lock()
	defer t.mu.Unlock()
	var tokens []uuid.UUID
	for timeout, beats := range t.byBeat {
		if timeout == 0 {
			timeout = olderThan
		}
		limit := now.Add(-timeout)
		for e := beats.Front(); e != nil; e = e.Next() {
			l := e.Value.(*lease)
			if l.beat.After(limit) {
				break
			}
			tokens = append(tokens, l.token)
		}
	}
	return tokens
}

// firstDeadline returns when the first run will have taken too long; false if none will.
func (t *leaseTable) firstDeadline() (time.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.byDeadline) == 0 {
		return time.Time{}, false
	}
	return t.byDeadline[0].deadline, true
}

// overdue returns the leases whose runs have taken too long, at most limit of them, the
// earliest deadline first.
func (t *leaseTable) overdue(now time.Time, limit int) []*lease {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found []*lease
	for len(found) < limit && len(t.byDeadline) > 0 && !t.byDeadline[0].deadline.After(now) {
		found = append(found, heap.Pop(&t.byDeadline).(*lease))
	}
	for _, l := range found { // they are removed when the change is made
		heap.Push(&t.byDeadline, l)
	}
	return found
}

// deadlines is a heap of leases, by deadline.
type deadlines []*lease

// Len implements heap.Interface, as do the others.
func (d deadlines) Len() int { return len(d) }

// Less orders by deadline, and by place where that is the same.
func (d deadlines) Less(i, j int) bool {
	if d[i].deadline.Equal(d[j].deadline) {
		return d[i].place < d[j].place
	}
	return d[i].deadline.Before(d[j].deadline)
}

// Swap swaps.
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = i, j
}

// Push appends a lease.
func (d *deadlines) Push(l any) {
	l.(*lease).index = len(*d)
	*d = append(*d, l.(*lease))
}

// Pop takes the last lease off.
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	l := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	return l
}

// held adds the leases of jobs in some channels, none of which is all, to those who hold them.
func (t *leaseTable) held(workers map[string]queue.Worker, channels []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.byToken {
		if len(channels) > 0 && !slices.Contains(channels, l.lane.Channel) {
			continue
		}
		name := l.holder.Worker
		w := workers[name]
		w.Name = name
		w.HeldAll++
		w.Held = append(w.Held, queue.HeldLease{
			JobID: l.jobID, Lane: l.lane, Attempt: l.attempt, Principal: l.holder.Principal, Started: l.started,
		})
		workers[name] = w
	}
}

// lastBeat returns when a lease was last heard of; zero if there is no such lease.
func (t *leaseTable) lastBeat(token uuid.UUID) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.byToken[token]; l != nil {
		return l.beat
	}
	return time.Time{}
}
