package wait

import (
	"container/list"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Roster knows who asked for jobs within the last hour. It is in memory: after a restart those
// who are there ask again. The zero Roster is ready to use.
type Roster struct {
	mu     sync.Mutex // guards what follows, and every entry
	byKey  map[askerKey]*list.Element
	recent list.List // of *asker; who asked last is first
}

// askerKey tells askers apart: one that asks in other channels is another one, so that what is
// told to somebody who may see some channels has nothing to do with the others.
type askerKey struct {
	name     string
	channels string // sorted, each once, separated by commas
}

func keyOf(request *queue.DequeueRequest) askerKey {
	switch channels := request.Channels; len(channels) {
	case 0:
		return askerKey{request.Worker, queue.DefaultChannel}
	case 1:
		return askerKey{request.Worker, channels[0]}
	default:
		return askerKey{request.Worker, strings.Join(slices.Compact(slices.Sorted(slices.Values(channels))), ",")}
	}
}

// asker is a worker, and the channels that it asks in.
type asker struct {
	key         askerKey
	first, last time.Time
	waiting     int
	request     *queue.DequeueRequest // the last one
}

// Asked notes that a worker asks for jobs, until the function is called that it returns. It keeps
// the request.
func (r *Roster) Asked(request *queue.DequeueRequest, now time.Time) (answered func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byKey == nil {
		r.byKey = make(map[askerKey]*list.Element)
	}
	key := keyOf(request)
	element := r.byKey[key]
	if element == nil {
		r.forget(now, queue.MaxWorkers-1)
		element = r.recent.PushFront(&asker{key: key, first: now})
		r.byKey[key] = element
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
		delete(r.byKey, a.key)
	}
}

// List returns the workers that are remembered, without their leases: of those who asked in no
// channel but those, if there are any, else all. Of one that asked in this way and in that it
// tells the last.
func (r *Roster) List(channels []string, now time.Time) map[string]queue.Worker {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now, queue.MaxWorkers)
	workers := make(map[string]queue.Worker, r.recent.Len())
	for e := r.recent.Front(); e != nil; e = e.Next() {
		a := e.Value.(*asker)
		if !within(a.request.Channels, channels) {
			continue
		}
		w, found := workers[a.key.name]
		if !found { // they are in the order in which they asked last
			workers[a.key.name] = a.worker()
			continue
		}
		if a.first.Before(w.First) {
			w.First = a.first
		}
		w.Waiting += a.waiting
		workers[a.key.name] = w
	}
	return workers
}

// News returns the workers that asked since a time, or of which another number of calls wait than told
// says, each as it asked last: as of List, but for what it did in other channels. And how many calls of
// each worker wait, to be told to the next News. Nobody else is copied: thousands may wait for long.
func (r *Roster) News(since time.Time, told map[string]int, now time.Time) (news []queue.Worker, waiting map[string]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now, queue.MaxWorkers)
	waiting = make(map[string]int, r.recent.Len())
	for e := r.recent.Front(); e != nil; e = e.Next() {
		a := e.Value.(*asker)
		if _, found := waiting[a.key.name]; found {
			continue // they are in the order in which they asked last
		}
		waiting[a.key.name] = a.waiting
		if !a.last.Before(since) || a.waiting != told[a.key.name] {
			news = append(news, a.worker())
		}
	}
	return news, waiting
}

// worker is the asker as a list shows it. Roster.mu is held.
func (a *asker) worker() queue.Worker {
	return queue.Worker{
		Name: a.key.name, First: a.first, Last: a.last, Waiting: a.waiting,
		Types: slices.Clone(a.request.Types), Channels: channelsOf(a.request), Labels: maps.Clone(a.request.Labels),
	}
}

// within reports whether somebody who asks in channels, none of which is the default one, asks in
// no other than those, none of which is all.
func within(channels, those []string) bool {
	if len(those) == 0 {
		return true
	}
	if len(channels) == 0 {
		return slices.Contains(those, queue.DefaultChannel)
	}
	return !slices.ContainsFunc(channels, func(channel string) bool { return !slices.Contains(those, channel) })
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
	counted := make(map[string]struct{})
	for element := r.recent.Front(); element != nil; element = element.Next() {
		a := element.Value.(*asker)
		if !slices.Contains(a.request.Types, lane.Type) || !slices.Contains(channelsOf(a.request), lane.Channel) {
			continue
		}
		counted[a.key.name] = struct{}{}
		e.Waiting += a.waiting
		if e.Last.IsZero() {
			e.Last = a.last // they are in that order
		}
	}
	e.Workers = len(counted)
	return e
}
