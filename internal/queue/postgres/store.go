package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/wait"
)

const (
	// DefaultIdempotencyTTL is how long calls with an idempotency key are remembered.
	DefaultIdempotencyTTL = 24 * time.Hour
	// DefaultPollInterval is how often a server looks for what others did, in case that no
	// notification tells it.
	DefaultPollInterval = time.Second
	// DefaultConnections is how many connections a server has at most, besides the one that it
	// listens on, and one that it adds up bytes on after an update. More do not make it faster: callers share statements.
	DefaultConnections = 8
)

// patience bounds every statement, and every change as a whole, from the client's side.
const patience = 30 * time.Second

// Options are what a Store may be given. The zero value works.
type Options struct {
	// Logger is told what an operator should know; nil for nobody.
	Logger queue.SimpleLogger
	// IdempotencyTTL is how long calls with an idempotency key are remembered; 0 for
	// DefaultIdempotencyTTL.
	IdempotencyTTL time.Duration
	// PollInterval is how often to look for what other servers did, give or take a fifth; 0 for
	// DefaultPollInterval.
	PollInterval time.Duration
	// Connections is how many there are at most, besides the one that listens; 0 for
	// DefaultConnections.
	Connections int
	// NoListen has the server wait for no notifications, and keep nothing in a connection from one
	// transaction to the next, as a pool such as PgBouncer wants it. Then only polls tell it what
	// other servers did.
	NoListen bool
	// Observer is told what the store does; nil for nobody.
	Observer Observer
}

// Store is a queue in a PostgreSQL database, which other Stores may serve at the same time. It
// implements queue.JobQueue.
type Store struct {
	pool     *pool
	id       uuid.UUID // of this server
	log      queue.SimpleLogger
	observer Observer // nil if there is none
	noListen bool
	limits   limits
	onceTTL  time.Duration
	life     life
	lanes    laneNumbers
	roster   wait.Roster
	changed  wait.Watch[uuid.UUID] // jobs
	events   *wait.Events
	underWay wait.CallsUnderWay
	rates    laneRates
	notifier notifier
	tail     tail
	keeper   timekeeper
	claims   dispatcher
	rounds   rounds
	changing chan struct{} // holds a token for each change that has a connection
	enqueues batcher[enqueueCall, enqueueAnswer]
	finishes batcher[finishCall, finishAnswer]
	beats    batcher[uuid.UUID, *beatAnswer]
	reports  merger[reportCall, reportAnswer]
	outage   outage
	pruning  pruning
}

// limits are the sizes that a test may want to be small.
type limits struct {
	// dueStep is how many jobs that fall due are changed at once.
	dueStep int
	// round is how much of each kind a round takes, at most; and then another one begins.
	round int
	// levels is how many levels of a graph are read one by one, before all below is read.
	levels int
	// silence is how long no server must have been heard of for leases to get a fresh beat, in seconds:
	// a few times as long as houseInterval.
	silence int
	// eventsKept is how many events are kept for those who read slowly, or come back.
	eventsKept int
	// lanes is how many lanes are remembered, and how many measured.
	lanes int
	// schema is the version of the schema that the server is made for.
	schema int64
	// listenCheck is how long nothing may come from the connection that listens before it is asked whether it is there, and
	// how long its answer may take. One that is lost without a word is noticed within twice that.
	listenCheck time.Duration
	// closing is how long a store that is closed goes on with what is under way.
	closing time.Duration
}

func defaultLimits() limits {
	return limits{
		dueStep: 1000, round: batchSize, levels: 16, silence: 3, eventsKept: 1 << 16, lanes: 1 << 16, schema: Version,
		listenCheck: listenCheck, closing: 5 * time.Second,
	}
}

// Open opens the queue in a database, whose schema Migrate has made. dsn is a URL or a keyword
// string as libpq takes it, with several hosts if need be. ErrSchema if the schema is one that
// this program cannot work with; ErrInUse while a copy of the database, or into it, is made.
func Open(ctx context.Context, dsn string, options Options) (*Store, error) {
	return open(ctx, dsn, options, defaultLimits())
}

func open(ctx context.Context, dsn string, options Options, limits limits) (*Store, error) {
	if options.Logger == nil {
		options.Logger = queue.NopLogger{}
	}
	if options.IdempotencyTTL == 0 {
		options.IdempotencyTTL = DefaultIdempotencyTTL
	}
	if options.PollInterval == 0 {
		options.PollInterval = DefaultPollInterval
	}
	if options.Connections == 0 {
		options.Connections = DefaultConnections
	}
	config, err := poolConfig(dsn, &options)
	if err != nil {
		return nil, err
	}
	connections, err := newPool(context.WithoutCancel(ctx), config, options.NoListen)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	s := &Store{
		pool: connections, log: options.Logger, observer: options.Observer, noListen: options.NoListen, limits: limits, onceTTL: options.IdempotencyTTL,
		events: wait.NewEvents(limits.eventsKept, time.Now()), lanes: laneNumbers{most: limits.lanes}, rates: laneRates{most: limits.lanes},
	}
	if s.id, err = uuid.NewRandomFromReader(rand.Reader); err != nil {
		connections.Close()
		return nil, fmt.Errorf("make the server's id: %w", err)
	}
	// Changes wait for each other with a connection in their hands; others need some meanwhile.
	s.changing = make(chan struct{}, max(1, options.Connections/2))
	s.life.init()
	s.rounds.init(s)
	s.enqueues.rounds, s.finishes.rounds, s.beats.rounds = &s.rounds, &s.rounds, &s.rounds
	s.enqueues.prepare, s.enqueues.size = s.prepareEnqueue, func(call *enqueueCall) int { return len(call.jobs) }
	s.finishes.prepare, s.finishes.size = s.prepareFinish, func(call *finishCall) int { return len(*call) }
	s.beats.prepare = prepareBeats
	s.claims.init(s)
	s.notifier.init(s)
	s.tail.init(s, options.PollInterval)
	s.keeper.init(s)
	if err := s.start(ctx, config.ConnConfig.Copy(), !options.NoListen); err != nil {
		s.life.end(ctx)
		connections.Close()
		return nil, err
	}
	return s, nil
}

// start checks the schema and that no copy is under way, joins the other servers, and starts what runs in the background.
func (s *Store) start(ctx context.Context, config *pgx.ConnConfig, listens bool) error {
	if err := s.checkSchema(ctx); err != nil {
		return err
	}
	if err := s.refuseCopied(ctx); err != nil {
		return err
	}
	if err := s.join(ctx); err != nil {
		return fmt.Errorf("join the servers of the queue: %w", err)
	}
	if err := s.tail.reset(ctx); err != nil {
		return fmt.Errorf("find the ready jobs: %w", err)
	}
	if listens {
		s.life.background(func(ctx context.Context) { s.listen(ctx, config) })
	}
	s.life.background(s.notifier.runUntil)
	s.life.background(s.tail.runUntil)
	s.life.background(s.keeper.runUntil)
	s.life.background(s.rounds.runUntil)
	s.life.background(s.keepHouse)
	s.life.background(s.keepRecounting)
	return nil
}

// poolConfig says how to connect.
func poolConfig(dsn string, options *Options) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, badAddress(err)
	}
	config.MaxConns = int32(min(options.Connections, 1000)) //nolint:gosec // bounded
	config.ConnConfig.ConnectTimeout = 5 * time.Second
	config.ShouldPing, config.PingTimeout = isDoubtful, 5*time.Second
	if options.NoListen {
		// A statement that was prepared in one connection of the database is not there in the next.
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
		return config, nil
	}
	parameters := config.ConnConfig.RuntimeParams
	parameters["application_name"] = "longshore"
	for _, s := range settings() {
		parameters[s.name] = s.value
	}
	return config, nil
}

// Close waits for the calls that are under way, ends those that wait for a job, and leaves the
// database. A database that does not answer is waited for no longer than 20 s or so. It may be
// called again.
func (s *Store) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.limits.closing)
	defer cancel()
	if !s.life.end(ctx) {
		return nil
	}
	err := s.part(ctx)
	s.pool.Close()
	if errors.Is(err, queue.ErrUnavailable) {
		return nil // the others notice by themselves
	}
	return err
}

// Ready returns nil if the store is open and the database answers, as far as is known, else
// queue.ErrUnavailable. It does not block.
func (s *Store) Ready(context.Context) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if s.outage.is() {
		return queue.ErrUnavailable
	}
	return nil
}

func (s *Store) enter() error { return s.life.enter() }

func (s *Store) leave() { s.life.leave() }

// life is what a store's calls and goroutines have in common.
type life struct {
	mu       sync.Mutex     // guards stopping
	stopping bool           // no call may begin
	calls    sync.WaitGroup // that are under way
	running  sync.WaitGroup // in the background
	closing  chan struct{}  // closed when nobody should wait any more
	ctx      context.Context
	cancel   context.CancelFunc // ends what runs in the background
	last     context.Context    // of all statements
	giveUp   context.CancelFunc // ends every statement
}

func (l *life) init() {
	l.closing = make(chan struct{})
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.last, l.giveUp = context.WithCancel(context.Background())
}

// enter begins a call: queue.ErrUnavailable if it is too late for that. The caller must leave.
func (l *life) enter() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopping {
		return queue.ErrUnavailable
	}
	l.calls.Add(1)
	return nil
}

func (l *life) leave() { l.calls.Done() }

// background runs until the store is closed.
func (l *life) background(run func(context.Context)) {
	l.running.Go(func() { run(l.ctx) })
}

// end refuses new calls, ends the waits of those under way, and waits for them and for what runs
// in the background; false if that was done before. With ctx ends every statement.
func (l *life) end(ctx context.Context) bool {
	l.mu.Lock()
	first := !l.stopping
	l.stopping = true
	l.mu.Unlock()
	if first {
		close(l.closing)
	}
	stop := context.AfterFunc(ctx, l.giveUp)
	defer stop()
	l.calls.Wait()
	l.cancel()
	l.running.Wait()
	return first
}
