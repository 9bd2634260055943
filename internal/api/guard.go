package api

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/queue"
)

// guard is the Queue as the caller of each operation may see it: one in which there are no jobs but
// those of the channels of the context's principal. It is the only place that knows of channels that
// somebody may not see; scopes are the edge's business.
//
// What is foreign is answered as what is absent by asking for what is absent: an id, a token or a
// channel of somebody else is replaced by one that nobody has, and the engine says of it what it says
// of such, in whatever order it finds errors. To compare answers afterwards would be to guess that
// order. Looking up a job's channel first is safe, because that never changes.
//
// It embeds no Queue, so that an operation that is new is one that does not compile until it is
// guarded.
type guard struct {
	queue  Queue
	jobs   memory // the channels of jobs, by id
	leases memory // the channels of their jobs, by token
}

// channelsOf are the channels that a call may see: none if it comes from nobody.
func channelsOf(ctx context.Context) auth.Channels {
	if p := auth.PrincipalOf(ctx); p != nil {
		return p.Channels
	}
	return auth.Channels{}
}

// job is the id that a call about a job is to ask for.
func (g *guard) job(ctx context.Context, id uuid.UUID) (uuid.UUID, error) {
	return one(ctx, id, &g.jobs, g.queue.ChannelsOf)
}

// token is the token that a call about a lease is to ask for.
func (g *guard) token(ctx context.Context, token uuid.UUID) (uuid.UUID, error) {
	return one(ctx, token, &g.leases, g.queue.LeaseChannels)
}

// lookUp finds the channels of things; "" of one that does not exist.
type lookUp func(ctx context.Context, things []uuid.UUID) ([]string, error)

func one(ctx context.Context, thing uuid.UUID, known *memory, ask lookUp) (uuid.UUID, error) {
	if channels := channelsOf(ctx); channels.All() || channels.Has(known.channel(thing)) {
		return thing, nil
	}
	own, err := owned(ctx, []uuid.UUID{thing}, known, ask)
	if err != nil {
		return uuid.Nil, err
	}
	return own[0], nil
}

// owned returns things with those replaced by ones that nobody has that are not the caller's to see,
// each always by the same. What it returns may be what it was given.
func owned(ctx context.Context, things []uuid.UUID, known *memory, ask lookUp) ([]uuid.UUID, error) {
	channels := channelsOf(ctx)
	if channels.All() || len(things) == 0 {
		return things, nil
	}
	found := make([]string, len(things))
	var unknown []uuid.UUID
	var at []int
	for i, thing := range things {
		if found[i] = known.channel(thing); found[i] == "" {
			unknown, at = append(unknown, thing), append(at, i)
		}
	}
	if len(unknown) > 0 {
		answers, err := ask(ctx, unknown)
		if err != nil {
			return nil, err
		}
		for n, i := range at {
			found[i] = answers[n]
			known.keep(things[i], found[i])
		}
	}
	var nobodys map[uuid.UUID]uuid.UUID
	own := things
	for i, thing := range things {
		if channels.Has(found[i]) {
			continue
		}
		if nobodys == nil {
			nobodys, own = make(map[uuid.UUID]uuid.UUID), slices.Clone(things)
		}
		if _, replaced := nobodys[thing]; !replaced {
			nobodys[thing] = uuid.New()
		}
		own[i] = nobodys[thing]
	}
	return own, nil
}

// named are the channels that a call that looks at jobs is to look in: those that it names, where one
// that is not the caller's to see is replaced by one that nobody has; all of the caller's if it names
// none.
func named(ctx context.Context, names []string) []string {
	channels := channelsOf(ctx)
	if channels.All() {
		return names
	}
	if len(names) == 0 {
		if names = channels.Names(); len(names) == 0 {
			return []string{uuid.NewString()}
		}
		return names
	}
	own := names
	for i, name := range names {
		// One that no channel can have stays: it is refused, as it is for everybody.
		if channels.Has(name) || (queue.DequeueRequest{Types: []string{"any"}, Channels: []string{name}}).Validate() != nil {
			continue
		}
		if &own[0] == &names[0] {
			own = slices.Clone(names)
		}
		own[i] = uuid.NewString()
	}
	return own
}

// forbidden refuses a channel that the caller named to do something in, or has a job be in by
// naming none, whether or not there is such a channel.
func forbidden(field string) *requestError {
	return &requestError{code: codeChannelForbidden, detail: field + ": the credential is not for this channel", field: field}
}

// channelOf is the channel that a new job is put into.
func channelOf(ctx context.Context, name string) (string, error) {
	channels := channelsOf(ctx)
	switch {
	case channels.All(), name != "" && channels.Has(name):
		return name, nil
	case name != "":
		return "", forbidden("channel")
	case channels.Has(queue.DefaultChannel):
		return queue.DefaultChannel, nil
	}
	switch names := channels.Names(); len(names) {
	case 0:
		return "", forbidden("channel")
	case 1:
		return names[0], nil
	default:
		return "", invalid("channel", "is required: the credential is for several channels, and "+queue.DefaultChannel+" is none of them")
	}
}

// lookIn has a request for jobs look in the caller's channels.
func lookIn(ctx context.Context, request *queue.DequeueRequest) error {
	channels := channelsOf(ctx)
	if channels.All() {
		return nil
	}
	if len(request.Channels) == 0 {
		if request.Channels = channels.Names(); len(request.Channels) == 0 {
			return forbidden("channels")
		}
		return nil
	}
	for i, name := range request.Channels {
		if !channels.Has(name) {
			return forbidden("channels[" + itoa(i) + "]")
		}
	}
	return nil
}

// principalName is who asks for a lease, by their credential; "" where nobody is asked for one.
func principalName(ctx context.Context) string {
	if p := auth.PrincipalOf(ctx); p != nil {
		return p.Name
	}
	return ""
}

// own has statuses name no dependents that are foreign. Whoever may see both channels can make
// such; and the dependencies of a job are what was given with it.
func (g *guard) own(ctx context.Context, statuses ...*queue.Status) error {
	channels := channelsOf(ctx)
	if channels.All() {
		return nil
	}
	var all []uuid.UUID
	for _, s := range statuses {
		all = append(all, s.Dependents...)
	}
	own, err := owned(ctx, all, &g.jobs, g.queue.ChannelsOf)
	if err != nil {
		return err
	}
	for _, s := range statuses {
		kept := s.Dependents[:0:0]
		for i, id := range s.Dependents {
			if own[i] == id {
				kept = append(kept, id)
			}
		}
		own, s.Dependents = own[len(s.Dependents):], kept
	}
	return nil
}

// Ready implements Queue.
func (g *guard) Ready(ctx context.Context) error { return g.queue.Ready(ctx) }

// ChannelsOf implements Queue.
func (g *guard) ChannelsOf(ctx context.Context, ids []uuid.UUID) ([]string, error) {
	ids, err := owned(ctx, ids, &g.jobs, g.queue.ChannelsOf)
	if err != nil {
		return nil, err
	}
	return g.queue.ChannelsOf(ctx, ids)
}

// LeaseChannels implements Queue.
func (g *guard) LeaseChannels(ctx context.Context, tokens []uuid.UUID) ([]string, error) {
	tokens, err := owned(ctx, tokens, &g.leases, g.queue.LeaseChannels)
	if err != nil {
		return nil, err
	}
	return g.queue.LeaseChannels(ctx, tokens)
}
