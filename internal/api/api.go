package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/sirupsen/logrus"
	"go.opentelemetry.io/otel/trace"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/loopback"
	"github.com/longshore-queue/longshore/internal/queue"
)

// Defaults of Options.
const (
	DefaultHeartbeatTimeout = 120 * time.Second
	DefaultMaxWait          = 60 * time.Second
	DefaultMaxBodyBytes     = 1 << 20
	DefaultMaxBatchBytes    = 32 << 20
	DefaultMaxArgsBytes     = 256 << 10
	DefaultMaxResultBytes   = 1 << 20
	DefaultBodyTimeout      = 30 * time.Second
	DefaultWriteTimeout     = 30 * time.Second
)

// releaseTimeout bounds the release of a lease whose holder went away before it had it.
const releaseTimeout = 5 * time.Second

// Options are the settings of an API. The zero value of each field is its default.
type Options struct {
	// Logger gets one line a request at info level, and what went wrong at error level.
	// Nothing is logged without it.
	Logger *logrus.Logger
	// HeartbeatTimeout is told to workers: how long a lease lasts without a heartbeat, unless
	// its job says otherwise.
	HeartbeatTimeout time.Duration
	// MaxWait caps wait_seconds.
	MaxWait time.Duration
	// MaxBodyBytes is how long a request's body may be, in bytes. One that has a result may be
	// as long as that, and a little longer, if that is more.
	MaxBodyBytes int64
	// MaxBatchBytes is the same for a request about many jobs or leases.
	MaxBatchBytes int64
	// MaxArgsBytes is how long the args of a job may be, in bytes.
	MaxArgsBytes int64
	// MaxResultBytes is how long a result, a partial result, or the details of an error may be,
	// in bytes.
	MaxResultBytes int64
	// BodyTimeout is how long a client may take to send a body.
	BodyTimeout time.Duration
	// WriteTimeout is how long a client may take to read an answer, and a second more for
	// each 64 KiB of it. The http.Server should have a WriteTimeout too, of any length: it
	// takes back the deadline of one answer before the next request is read.
	WriteTimeout time.Duration
	// Backup makes a backup of that name; nil if none can be made. queue.ErrBackupExists,
	// queue.ErrBackupUnderWay.
	Backup func(ctx context.Context, name string) (queue.Backup, error)
	// Keys keeps the API keys; nil for the queue itself, if it does.
	Keys Keys
	// Authenticator finds out who each request comes from, before anything of it is read but its
	// head; nil for nobody: then whoever reaches the API may do everything.
	Authenticator auth.Authenticator
	// Loopback keeps out pages in browsers of this machine, where there is no Authenticator because only
	// this machine reaches the API; nil for nobody.
	Loopback *loopback.Guard
	// Tracer makes spans of requests, and of the leases that they grant; nil for none.
	Tracer trace.Tracer
	// Observer is told of every request; nil for nobody.
	Observer Observer
	// Limits bound how much callers may do.
	Limits Limits
	// Stopping ends when the server begins to shut down. Whoever waits is answered then,
	// nobody is made to wait any more, and no more leases are granted by waiting.
	Stopping context.Context
}

// API answers the requests of the contract. It is an http.Handler.
type API struct {
	queue     Queue
	keys      Keys
	options   Options
	sizes     sizes
	producer  producer
	log       *logrus.Logger
	echo      *echo.Echo
	document  document
	catalogue catalogue
	answers   sync.Pool    // of *jobAnswer
	readers   atomic.Int64 // of events
	secure    secureHeaders
	positions positions
	bounds    bounds
	routes    map[string]route // by Echo's way of writing the path
}

// New returns an API in front of the queue. It starts nothing.
func New(q Queue, options Options) (*API, error) {
	if q == nil {
		return nil, errors.New("api: a queue is required")
	}
	if err := options.complete(); err != nil {
		return nil, err
	}
	bodies, err := newBodies(options)
	if err != nil {
		return nil, err
	}
	sizes := sizes{args: options.MaxArgsBytes, result: options.MaxResultBytes}
	producer, err := newProducer(sizes)
	if err != nil {
		return nil, err
	}
	positions, err := newPositions()
	if err != nil {
		return nil, err
	}
	a := &API{
		queue: q, keys: keysOf(q, &options), options: options, sizes: sizes, producer: producer, log: options.Logger,
		document: loadDocument(), catalogue: newCatalogue(), positions: positions, secure: newSecureHeaders(), bounds: newBounds(options.Limits, q),
	}

	if a.bounds.quota != nil {
		a.queue = rationed{a.queue, a.bounds.quota, options.Observer}
	}
	if options.Authenticator != nil {
		a.queue = &guard{queue: a.queue}
	}
	a.echo = echo.New()
	a.echo.Binder = bodies
	a.echo.Logger.SetOutput(io.Discard) // it knows neither levels nor what is secret; edge logs
	a.echo.HTTPErrorHandler = func(err error, c echo.Context) { a.fail(c, err) }
	a.echo.Use(a.edge)
	oapi.RegisterHandlers(heads{a.echo}, oapi.NewStrictHandler(a, nil))
	if a.routes, err = routesOf(a.echo.Routes(), operations()); err != nil {
		return nil, err
	}
	return a, nil
}

// ServeHTTP answers one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.echo.ServeHTTP(w, r) }

// heads makes every GET a HEAD too. net/http drops the body of its answer.
type heads struct{ *echo.Echo }

// GET adds both routes, but one for what has no end.
func (h heads) GET(path string, handler echo.HandlerFunc, middleware ...echo.MiddlewareFunc) *echo.Route {
	if path == eventsPath {
		return h.Echo.GET(path, handler, middleware...)
	}
	h.HEAD(path, handler, middleware...)
	return h.Echo.GET(path, handler, middleware...)
}

// complete fills in defaults, and refuses what makes no sense.
func (o *Options) complete() error {
	for _, option := range []struct {
		name  string
		value *time.Duration
		unset time.Duration
	}{
		{"HeartbeatTimeout", &o.HeartbeatTimeout, DefaultHeartbeatTimeout},
		{"MaxWait", &o.MaxWait, DefaultMaxWait},
		{"BodyTimeout", &o.BodyTimeout, DefaultBodyTimeout},
		{"WriteTimeout", &o.WriteTimeout, DefaultWriteTimeout},
	} {
		if *option.value < 0 {
			return fmt.Errorf("api: %s is negative", option.name)
		}
		if *option.value == 0 {
			*option.value = option.unset
		}
	}
	for _, option := range []struct {
		name  string
		value *int64
		unset int64
	}{
		{"MaxBodyBytes", &o.MaxBodyBytes, DefaultMaxBodyBytes},
		{"MaxBatchBytes", &o.MaxBatchBytes, DefaultMaxBatchBytes},
		{"MaxArgsBytes", &o.MaxArgsBytes, DefaultMaxArgsBytes},
		{"MaxResultBytes", &o.MaxResultBytes, DefaultMaxResultBytes},
	} {
		if *option.value < 0 {
			return fmt.Errorf("api: %s is negative", option.name)
		}
		if *option.value == 0 {
			*option.value = option.unset
		}
	}
	if o.Observer == nil {
		o.Observer = nobody{}
	}
	if o.Stopping == nil {
		o.Stopping = context.Background()
	}
	if o.Logger == nil {
		o.Logger = logrus.New()
		o.Logger.SetOutput(io.Discard)
		o.Logger.SetLevel(logrus.PanicLevel)
	}
	return nil
}
