package api

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// listTime is how long a search for the caller's jobs among those of others goes on.
const listTime = 5 * time.Second

// channelError is about the channel of one job of a call.
type channelError struct {
	job int
	err error
}

func (e *channelError) Error() string { return e.err.Error() }

func (e *channelError) Unwrap() error { return e.err }

// Enqueue implements Queue.
func (g *guard) Enqueue(ctx context.Context, jobs []queue.NewJob) ([]queue.Enqueued, error) {
	nobodys, err := g.admit(ctx, jobs)
	if err != nil {
		return nil, err
	}
	added, err := g.queue.Enqueue(ctx, jobs)
	return g.added(ctx, added, asGiven(err, nobodys))
}

// EnqueueOnce implements Queue.
func (g *guard) EnqueueOnce(ctx context.Context, jobs []queue.NewJob, once queue.Once) ([]queue.Enqueued, error) {
	nobodys, err := g.admit(ctx, jobs)
	if err != nil {
		return nil, err
	}
	added, err := g.queue.EnqueueOnce(ctx, jobs, once)
	return g.added(ctx, added, asGiven(err, nobodys))
}

// EnqueuedOnce implements Queue.
func (g *guard) EnqueuedOnce(ctx context.Context, once queue.Once) ([]queue.Enqueued, error) {
	added, err := g.queue.EnqueuedOnce(ctx, once)
	return g.added(ctx, added, err)
}

// admit says which channels new jobs are put into, and replaces dependencies that are foreign. It
// returns what they were, by what they are now.
func (g *guard) admit(ctx context.Context, jobs []queue.NewJob) (nobodys map[uuid.UUID]uuid.UUID, err error) {
	if channelsOf(ctx).All() {
		return nil, nil
	}
	var given []uuid.UUID
	for i := range jobs {
		if jobs[i].Channel, err = channelOf(ctx, jobs[i].Channel); err != nil {
			return nil, &channelError{i, err}
		}
		given = append(given, jobs[i].Dependencies...)
	}
	own, err := owned(ctx, given, &g.jobs, g.queue.ChannelsOf)
	if err != nil {
		return nil, err
	}
	for i := range given {
		if own[i] == given[i] {
			continue
		}
		if nobodys == nil {
			nobodys = make(map[uuid.UUID]uuid.UUID)
		}
		nobodys[own[i]] = given[i]
	}
	if len(nobodys) == 0 {
		return nil, nil
	}
	for i := range jobs {
		n := len(jobs[i].Dependencies)
		jobs[i].Dependencies, own = own[:n:n], own[n:]
	}
	return nobodys, nil
}

// asGiven has an error about a dependency name it as it was given.
func asGiven(err error, nobodys map[uuid.UUID]uuid.UUID) error {
	if len(nobodys) == 0 {
		return err
	}
	var missing *queue.DependencyError
	if errors.As(err, &missing) {
		if id, replaced := nobodys[missing.ID]; replaced {
			return &queue.DependencyError{Job: missing.Job, Index: missing.Index, ID: id}
		}
	}
	return err
}

// added is what a call that added jobs is answered. If that is what an earlier call with its
// idempotency key was, the principal may have had other channels then.
func (g *guard) added(ctx context.Context, added []queue.Enqueued, err error) ([]queue.Enqueued, error) {
	channels := channelsOf(ctx)
	if err != nil || channels.All() {
		return added, err
	}
	statuses := make([]*queue.Status, len(added))
	for i := range added {
		statuses[i] = &added[i].Status
		if !channels.Has(added[i].Channel) {
			return nil, queue.ErrDeleted
		}
		g.jobs.keep(added[i].ID, added[i].Channel)
	}
	return added, g.own(ctx, statuses...)
}

// status asks for a status, and shows it as the caller may see it.
func (g *guard) status(ctx context.Context, id uuid.UUID, ask func(uuid.UUID) (queue.Status, error)) (queue.Status, error) {
	id, err := g.job(ctx, id)
	if err != nil {
		return queue.Status{}, err
	}
	status, err := ask(id)
	if err == nil {
		err = g.own(ctx, &status)
	}
	return status, err
}

// JobStatus implements Queue.
func (g *guard) JobStatus(ctx context.Context, id uuid.UUID) (queue.Status, error) {
	return g.status(ctx, id, func(id uuid.UUID) (queue.Status, error) { return g.queue.JobStatus(ctx, id) })
}

// Await implements Queue.
func (g *guard) Await(ctx context.Context, id uuid.UUID) (queue.Status, error) {
	return g.status(ctx, id, func(id uuid.UUID) (queue.Status, error) { return g.queue.Await(ctx, id) })
}

// AwaitChange implements Queue.
func (g *guard) AwaitChange(ctx context.Context, id uuid.UUID, version uint64) (queue.Status, error) {
	return g.status(ctx, id, func(id uuid.UUID) (queue.Status, error) { return g.queue.AwaitChange(ctx, id, version) })
}

// AwaitAll implements Queue.
func (g *guard) AwaitAll(ctx context.Context, ids []uuid.UUID) ([]queue.State, error) {
	own, err := owned(ctx, ids, &g.jobs, g.queue.ChannelsOf)
	if err != nil {
		return nil, err
	}
	states, err := g.queue.AwaitAll(ctx, own)
	if missing := (*queue.NotExistError)(nil); errors.As(err, &missing) {
		return nil, &queue.NotExistError{Index: missing.Index, ID: ids[missing.Index]}
	}
	return states, err
}

// Job implements Queue.
func (g *guard) Job(ctx context.Context, id uuid.UUID) (queue.Job, error) {
	id, err := g.job(ctx, id)
	if err != nil {
		return queue.Job{}, err
	}
	return g.queue.Job(ctx, id)
}

// Attempts implements Queue.
func (g *guard) Attempts(ctx context.Context, id uuid.UUID) ([]queue.Attempt, error) {
	id, err := g.job(ctx, id)
	if err != nil {
		return nil, err
	}
	return g.queue.Attempts(ctx, id)
}

// Explain implements Queue.
func (g *guard) Explain(ctx context.Context, id uuid.UUID) (queue.Explanation, error) {
	id, err := g.job(ctx, id)
	if err != nil {
		return queue.Explanation{}, err
	}
	return g.queue.Explain(ctx, id)
}

// CancelJob implements Queue.
func (g *guard) CancelJob(ctx context.Context, id uuid.UUID) error {
	id, err := g.job(ctx, id)
	if err != nil {
		return err
	}
	return g.queue.CancelJob(ctx, id)
}

// RetryJob implements Queue.
func (g *guard) RetryJob(ctx context.Context, id uuid.UUID) error {
	id, err := g.job(ctx, id)
	if err != nil {
		return err
	}
	return g.queue.RetryJob(ctx, id)
}

// DeleteJob implements Queue.
func (g *guard) DeleteJob(ctx context.Context, id uuid.UUID) error {
	id, err := g.job(ctx, id)
	if err != nil {
		return err
	}
	return g.queue.DeleteJob(ctx, id)
}

// UpdateJob implements Queue.
func (g *guard) UpdateJob(ctx context.Context, id uuid.UUID, update queue.Update) error {
	id, err := g.job(ctx, id)
	if err != nil {
		return err
	}
	return g.queue.UpdateJob(ctx, id, update)
}

// CancelJobs implements Queue.
func (g *guard) CancelJobs(ctx context.Context, ids []uuid.UUID) (int, error) {
	ids, err := owned(ctx, ids, &g.jobs, g.queue.ChannelsOf)
	if err != nil {
		return 0, err
	}
	return g.queue.CancelJobs(ctx, ids)
}

// DeleteJobs implements Queue.
func (g *guard) DeleteJobs(ctx context.Context, ids []uuid.UUID) (int, error) {
	ids, err := owned(ctx, ids, &g.jobs, g.queue.ChannelsOf)
	if err != nil {
		return 0, err
	}
	return g.queue.DeleteJobs(ctx, ids)
}

// ListJobs implements Queue. A search of the engine's ends after a while, wherever it is then, and
// there may be nothing but foreign jobs after a page that is full: the guard goes on until the page
// is as if there were no jobs but the caller's.
func (g *guard) ListJobs(ctx context.Context, listing queue.Listing) (queue.Page, error) {
	listing.Channels = named(ctx, listing.Channels)
	if channelsOf(ctx).All() {
		return g.queue.ListJobs(ctx, listing)
	}
	end := time.Now().Add(listTime)
	page, err := g.search(ctx, listing, end)
	if err == nil && page.Next != uuid.Nil {
		listing.After, listing.Limit = page.Next, 1
		listing.Omit = queue.Parts{Args: true, Outcome: true, Reported: true, Dependents: true}
		var rest queue.Page
		if rest, err = g.search(ctx, listing, end); len(rest.Jobs) == 0 && rest.Next == uuid.Nil {
			page.Next = uuid.Nil
		}
	}
	if err != nil {
		return queue.Page{}, err
	}
	statuses := make([]*queue.Status, len(page.Jobs))
	for i := range page.Jobs {
		statuses[i] = &page.Jobs[i].Status
		g.jobs.keep(statuses[i].ID, statuses[i].Channel)
	}
	return page, g.own(ctx, statuses...)
}

// search searches until the page ends with the list or with a job of its own. If that takes too long,
// it tells where it has come to by the time at which jobs were enqueued there, and not by the id of
// one.
func (g *guard) search(ctx context.Context, listing queue.Listing, end time.Time) (queue.Page, error) {
	page, err := g.queue.ListJobs(ctx, listing)
	for wanted := listing.Limit; err == nil && !ownEnd(&page) && ctx.Err() == nil; {
		if time.Now().After(end) {
			page.Next = blunt(page.Next, &page, listing.OldestFirst)
			break
		}
		listing.After, listing.Limit = page.Next, wanted-len(page.Jobs)
		var more queue.Page
		more, err = g.queue.ListJobs(ctx, listing)
		page.Next, page.Jobs = more.Next, append(page.Jobs, more.Jobs...)
	}
	return page, err
}

// ownEnd tells whether a page ends with the list, or with a job of its own.
func ownEnd(page *queue.Page) bool {
	return page.Next == uuid.Nil || len(page.Jobs) > 0 && page.Jobs[len(page.Jobs)-1].Status.ID == page.Next
}

// timeBytes is how many bytes of a job's id are the time at which it was enqueued.
const timeBytes = 8

// blunt returns where a list goes on after an id, without what makes that one id of many: the next
// page may look again at some that were enqueued at the same time, but at none that this one has.
func blunt(after uuid.UUID, page *queue.Page, oldestFirst bool) uuid.UUID {
	fill := byte(0xff)
	if oldestFirst {
		fill = 0
	}
	for i := timeBytes; i < len(after); i++ {
		after[i] = fill
	}
	if len(page.Jobs) == 0 {
		return after
	}
	last := page.Jobs[len(page.Jobs)-1].Status.ID
	if oldestFirst == (string(last[:]) > string(after[:])) {
		return last
	}
	return after
}
