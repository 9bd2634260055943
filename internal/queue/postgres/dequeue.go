package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// Dequeue implements queue.JobQueue.
func (s *Store) Dequeue(ctx context.Context, request queue.DequeueRequest) (queue.Lease, error) {
	if err := request.Validate(); err != nil {
		return queue.Lease{}, err
	}
	leases, err := s.dequeue(ctx, &request, 1)
	if err != nil {
		return queue.Lease{}, err
	}
	if len(leases) == 0 {
		return queue.Lease{}, queue.ErrDequeueTimeout
	}
	return leases[0], nil
}

// dequeue leases up to so many jobs; none if ctx ends before there is one.
func (s *Store) dequeue(ctx context.Context, request *queue.DequeueRequest, most int) ([]queue.Lease, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.leave()
	answered := s.roster.Asked(request, s.keeper.now())
	defer answered()
	end, err := s.underWay.Begin(request.Once)
	if err != nil {
		return nil, err
	}
	defer end()
	for {
		leases, err := s.leasesOf(ctx, request.Once)
		if err != nil || len(leases) > 0 {
			return leases, err
		}
		grants, err := s.claims.ask(ctx, request.Lanes(), most, request.Holder(), request.Once)
		switch {
		case errors.Is(err, errCallKnown):
			continue
		case err != nil:
			return nil, err
		case len(grants) == 0:
			// A server that is gone may have granted some while this one waited for others.
			return s.leasesOf(ctx, request.Once)
		}
		leases, err = s.deliver(ctx, grants, request.Once)
		if err != nil || len(leases) > 0 {
			return leases, err
		}
		// Those jobs have failed; there may be others.
		if err := s.forgetCall(ctx, request.Once, secretsOf(grants)); err != nil {
			return nil, err
		}
	}
}

func secretsOf(grants []grant) []uuid.UUID {
	secrets := make([]uuid.UUID, len(grants))
	for i := range grants {
		secrets[i] = grants[i].secret
	}
	return secrets
}

// deliver turns grants into leases. A job that nobody could ever be handed fails instead. Those
// that would make an answer larger than the largest lease are given back: a server and a worker have
// to hold it. once is of the call that they were granted to.
func (s *Store) deliver(ctx context.Context, grants []grant, once queue.Once) (leases []queue.Lease, err error) {
	known, err := s.dependenciesOf(ctx, grants, queue.MaxLeaseResults)
	if err != nil {
		s.releaseGrants(ctx, grants, once)
		return nil, err
	}
	var size int64
	for i := range grants {
		g := &grants[i]
		if size > queue.MaxDependencyBytes {
			s.releaseGrants(ctx, grants[i:i+1], queue.Once{}) // the call has the others
			continue
		}
		lane, err := s.laneOf(ctx, g.lane)
		if err != nil {
			s.releaseGrants(ctx, grants, once)
			return nil, err
		}
		d := definition{timeout: g.timeout, heartbeatTimeout: g.heartbeatTimeout, traceParent: g.traceParent, labels: g.labels}
		j, err := jobOf(g.id, lane, &d)
		var reason string
		switch {
		case err != nil:
			reason = queue.ReasonDamaged
			s.log.Error(err, "a job has failed: it cannot be read", "job", g.id.String())
		case known[g.place].tooLarge:
			reason = queue.ReasonDependenciesTooLarge
			s.log.Info("a job has failed: its dependencies made more than a lease may hold", "job", g.id.String())
		default:
			l := leaseOf(&j, g.token(), g.attempt, g.args, known[g.place])
			size += heldBy(&l)
			leases = append(leases, l)
			continue
		}
		outcome := queue.Outcome{Error: &queue.JobError{Reason: reason}}
		if _, err := s.report(ctx, g.token(), requeueOrFinish(0, outcome)); err != nil && !isRule(err) {
			s.releaseGrants(ctx, grants, once)
			return nil, err
		}
	}
	return leases, nil
}

func leaseOf(j *queue.Job, token uuid.UUID, attempt uint64, args json.RawMessage, of known) queue.Lease {
	return queue.Lease{
		Token: token, JobID: j.ID, Type: j.Type, Channel: j.Channel, Args: args, Attempt: attempt, Dependencies: of.dependencies, Withheld: of.withheld,
		Timeout: j.Timeout, HeartbeatTimeout: j.HeartbeatTimeout, Labels: j.Labels, TraceParent: j.TraceParent,
	}
}

// heldBy is how many bytes a lease holds that are not ours to bound.
func heldBy(l *queue.Lease) int64 {
	size := len(l.Args)
	for i := range l.Dependencies {
		d := &l.Dependencies[i]
		size += len(d.Result)
		if d.Error != nil {
			size += len(d.Error.Reason) + len(d.Error.Details)
		}
	}
	return int64(size) + l.Withheld
}

// releaseGrants gives leases back that nobody will hear of. If they are all that a call with an idempotency key was
// granted, who comes again with it may be handed them before.
func (s *Store) releaseGrants(ctx context.Context, grants []grant, once queue.Once) {
	tokens := make([]uuid.UUID, len(grants))
	for i := range grants {
		tokens[i] = grants[i].token()
	}
	s.giveBack(ctx, tokens, once)
}

// giveBack is releaseGrants by the tokens of the leases. Once the database is away, nobody waits for it with each
// of them.
func (s *Store) giveBack(ctx context.Context, tokens []uuid.UUID, once queue.Once) {
	if once.Given() {
		hashes := make([][]byte, len(tokens))
		for i := range hashes {
			hashes[i] = hashOf(once.Key)
		}
		s.abandon(secretsOfTokens(tokens), hashes)
		return
	}
	for i, token := range tokens {
		if _, err := s.report(ctx, token, release(0)); err != nil && !isRule(err) {
			s.keeper.releaseOrphans(nil, secretsOfTokens(tokens[i:]), nil)
			return
		}
	}
}

func secretsOfTokens(tokens []uuid.UUID) [][16]byte {
	secrets := make([][16]byte, len(tokens))
	for i, token := range tokens {
		_, secrets[i] = cutToken(token)
	}
	return secrets
}

// abandon has leases be orphans that were granted to callers with idempotency keys of those hashes: who comes again, here
// or at another server, may be handed them before they are given back.
func (s *Store) abandon(secrets [][16]byte, hashes [][]byte) {
	s.keeper.releaseOrphans(nil, secrets, hashes)
	// The timekeeper tries it again, but may be about to end.
	s.life.background(func(ctx context.Context) { _ = s.takeBackOrphans(ctx) })
}

// DequeueByID implements queue.JobQueue.
func (s *Store) DequeueByID(ctx context.Context, id uuid.UUID, to queue.Holder, once queue.Once) (queue.Lease, error) {
	if err := queue.ValidateWorker(to.Worker); err != nil {
		return queue.Lease{}, err
	}
	if err := s.enter(); err != nil {
		return queue.Lease{}, err
	}
	defer s.leave()
	end, err := s.underWay.Begin(once)
	if err != nil {
		return queue.Lease{}, err
	}
	defer end()
	for {
		leases, err := s.leasesOf(ctx, once)
		if err == nil && len(leases) == 0 {
			leases, err = s.leaseByID(ctx, id, to, once)
		}
		switch {
		case errors.Is(err, errCallKnown):
			continue
		case err != nil:
			return queue.Lease{}, err
		}
		return leases[0], nil
	}
}

func (s *Store) leaseByID(ctx context.Context, id uuid.UUID, to queue.Holder, once queue.Once) ([]queue.Lease, error) {
	g, err := s.claimByID(ctx, id, to, once)
	if err != nil {
		return nil, err
	}
	leases, err := s.deliver(ctx, []grant{g}, once)
	if err != nil || len(leases) > 0 {
		return leases, err
	}
	if err := s.forgetCall(ctx, once, []uuid.UUID{g.secret}); err != nil {
		return nil, err
	}
	return nil, queue.ErrNotPending // any more
}

// claimByID grants a lease of one job. errCallKnown if the call has one already.
func (s *Store) claimByID(ctx context.Context, id uuid.UUID, to queue.Holder, once queue.Once) (g grant, err error) {
	secret := newSecret()
	var chosen time.Time
	err = s.change(ctx, func(c *change) error {
		chosen = time.Now()
		switch k, err := c.readCall(once); {
		case err != nil:
			return err
		case k != nil && len(k.secrets) > 0:
			return errCallKnown
		}
		r, err := c.read(id)
		if err != nil {
			return err
		}
		d := c.definitions[r.place]
		next, err := r.Grant(tokenOf(r.place, secret), to, c.now)
		if err != nil {
			return err
		}
		if r.ties&tieReported != 0 {
			c.unreport(r)
		}
		c.set(r, next)
		r.lease = leaseColumns{secret: secret, beat: c.now, timeout: durationOf(d.timeout), heartbeatTimeout: durationOf(d.heartbeatTimeout)}
		if r.lease.timeout > 0 {
			r.lease.deadline = c.now.Add(r.lease.timeout)
		}
		g = grant{
			changed: changed{id: id, place: r.place, lane: r.lane, rank: rankOf(r.Priority), attempt: next.Attempt},
			secret:  secret, labels: d.labels, traceParent: d.traceParent, timeout: d.timeout, heartbeatTimeout: d.heartbeatTimeout,
			edges: d.edges,
		}
		if once.Given() {
			c.keepCall(once, &keptCall{places: []int64{r.place}, secrets: []uuid.UUID{secret}})
		}
		return c.tx.QueryRow(c.ctx, `SELECT args FROM longshore.jobs WHERE place = $1`, r.place).Scan(&g.args)
	})
	if errors.Is(err, queue.ErrUnavailable) {
		var hashes [][]byte
		if once.Given() {
			hashes = [][]byte{hashOf(once.Key)}
		}
		s.keeper.releaseOrphans(err, [][16]byte{secret}, hashes)
	}
	if err == nil && s.observer != nil {
		s.observer.Claimed(time.Since(chosen))
	}
	return g, err
}

// known is what a job is to know of those that it depends on.
type known struct {
	dependencies []queue.Dependency
	withheld     int64 // how large the results are that are left out
	tooLarge     bool
}

const sizeOfDependencies = `
SELECT e.dependent, count(*), coalesce(sum(octet_length(d.result)), 0) + coalesce(sum(octet_length(d.reason)), 0) + coalesce(sum(octet_length(d.details)), 0)
FROM longshore.edges e LEFT JOIN longshore.ended d ON d.place = e.dependency
WHERE e.dependent = ANY($1) GROUP BY e.dependent`

const readDependencies = `
SELECT e.dependent, e.dependency_id, e.name, coalesce(r.state, e.gone_state, 0), coalesce(l.type, e.gone_type, ''),
  r.state IS NULL, d.result, d.reason, d.details
FROM longshore.edges e
LEFT JOIN longshore.jobs j ON j.place = e.dependency
LEFT JOIN longshore.records r ON r.lane = j.lane AND r.rank = j.rank AND r.place = j.place
LEFT JOIN longshore.ended d ON d.place = e.dependency
LEFT JOIN longshore.lanes l ON l.number = j.lane
WHERE e.dependent = ANY($1) ORDER BY e.dependent, e.ordinal`

// dependenciesOf reads what became of the dependencies of jobs that were leased, with up to so many bytes of results
// for each.
func (s *Store) dependenciesOf(ctx context.Context, grants []grant, most int64) (map[int64]known, error) {
	var places []int64
	for i := range grants {
		if grants[i].edges > 0 {
			places = append(places, grants[i].place)
		}
	}
	if len(places) == 0 {
		return nil, nil //nolint:nilnil // none has any
	}
	found := make(map[int64]known)
	err := s.database(ctx, func(ctx context.Context) error {
		small, err := s.smallEnough(ctx, places, most, found)
		if err != nil || len(small) == 0 {
			return err
		}
		return s.fillDependencies(ctx, small, found)
	})
	if err != nil {
		return nil, fmt.Errorf("read what leased jobs depend on: %w", err)
	}
	return found, nil
}

// smallEnough returns those of the jobs whose dependencies have no more than so many bytes of results.
func (s *Store) smallEnough(ctx context.Context, places []int64, most int64, found map[int64]known) (small []int64, err error) {
	rows, err := s.pool.Query(ctx, sizeOfDependencies, places)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var place, count, size int64
		if err := rows.Scan(&place, &count, &size); err != nil {
			return nil, err
		}
		switch {
		case size > queue.MaxDependencyBytes:
			found[place] = known{tooLarge: true}
		case size > most:
			found[place] = known{withheld: size}
		default:
			found[place] = known{dependencies: make([]queue.Dependency, 0, count)}
			small = append(small, place)
		}
	}
	return small, rows.Err()
}

func (s *Store) fillDependencies(ctx context.Context, places []int64, found map[int64]known) error {
	rows, err := s.pool.Query(ctx, readDependencies, places)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			place           int64
			state           int16
			d               queue.Dependency
			result, details []byte
			reason          *string
		)
		if err := rows.Scan(&place, &d.ID, &d.Name, &state, &d.Type, &d.Deleted, &result, &reason, &details); err != nil {
			return err
		}
		d.State = queue.State(state) //nolint:gosec // the table's own
		o := outcomeOf(d.State, result, reason, details)
		d.Result, d.Error = o.Result, o.Error
		k := found[place]
		k.dependencies = append(k.dependencies, d)
		found[place] = k
	}
	return rows.Err()
}

// outcomeOf makes an outcome of the columns that it is in.
func outcomeOf(state queue.State, result []byte, reason *string, details []byte) (o queue.Outcome) {
	switch {
	case state == queue.Finished:
		o.Result = result
	case reason != nil:
		o.Error = &queue.JobError{Reason: *reason, Details: details}
	}
	return o
}
