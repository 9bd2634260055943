package wait

import (
	"container/list"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Roster knows who asked for jobs within the last hour. It is in memory: after a restart those
// who are there ask again. The zero Roster is ready to use.
type Roster struct {
	mu     sync.Mutex // guards what follows, and every entry
	byName map[string]*list.Element
	recent list.List // of *asker; who asked last is first
}

// asker is a worker.
type asker struct {
	name        string
	first, last time.Time
	waiting     int
	request     *queue.DequeueRequest // the last one
}

// Asked notes that a worker asks for jobs, until the function is called that it returns. It keeps
// the request.
func (r *Roster) Asked(request *queue.DequeueRequest, now time.Time) (answered func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byName == nil {
		r.byName = make(map[string]*list.Element)
	}
	element := r.byName[request.Worker]
	if element == nil {
		r.forget(now, queue.MaxWorkers-1)
		element = r.recent.PushFront(&asker{name: request.Worker, first: now})
		r.byName[request.Worker] = element
	} else {
		r.recent.MoveToFront(element)
	}
	a := element.Value.(*asker)
	a.last, a.request = now, request
	a.waiting++
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		a.waiting--
	}
}

// forget forgets those who have not asked for long, and those who would be too many. r.mu is held.
func (r *Roster) forget(now time.Time, most int) {
	for last := r.recent.Back(); last != nil; last = r.recent.Back() {
		a := last.Value.(*asker)
		if r.recent.Len() <= most && now.Sub(a.last) <= queue.WorkerMemory {
			return
		}
		r.recent.Remove(last)
		delete(r.byName, a.name)
	}
}

// List returns all workers that are remembered, without their leases.
func (r *Roster) List(now time.Time) map[string]queue.Worker {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now, queue.MaxWorkers)
	workers := make(map[string]queue.Worker, r.recent.Len())
	for e := r.recent.Front(); e != nil; e = e.Next() {
		a := e.Value.(*asker)
		workers[a.name] = queue.Worker{
			Name: a.name, First: a.first, Last: a.last, Waiting: a.waiting,
			Types: slices.Clone(a.request.Types), Channels: channelsOf(a.request), Labels: maps.Clone(a.request.Labels),
		}
	}
	return workers
}

func channelsOf(request *queue.DequeueRequest) []string {
	if len(request.Channels) == 0 {
		return []string{queue.DefaultChannel}
	}
	return slices.Clone(request.Channels)
}

// Asking tells of those whose last request was for a lane.
func (r *Roster) Asking(lane queue.Lane, now time.Time) (e queue.Askers) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now, queue.MaxWorkers)
	for element := r.recent.Front(); element != nil; element = element.Next() {
		a := element.Value.(*asker)
		if !slices.Contains(a.request.Types, lane.Type) || !slices.Contains(channelsOf(a.request), lane.Channel) {
			continue
		}
		e.Workers++
		e.Waiting += a.waiting
		if e.Last.IsZero() {
			e.Last = a.last // they are in that order
		}
	}
	return e
}
