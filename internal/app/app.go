package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log" //nolint:depguard // http.Server takes no other logger
	"net"
	"net/http"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/logging"
	"github.com/longshore-queue/longshore/internal/reaper"
)

const (
	// headerTimeout is how long a client may take to send the head of a request. The API
	// bounds the body; there is no timeout for the answer, which may take a long poll.
	headerTimeout = 10 * time.Second
	// idleTimeout is how long a connection is kept that nobody uses.
	idleTimeout = 120 * time.Second
	// maxHeaderBytes bounds the head of a request.
	maxHeaderBytes = 16 << 10
)

// App is one server. Start and Stop are each called once, by one goroutine.
type App struct {
	options Options
	log     *logrus.Logger
	failed  chan error

	// Set by Start.
	store    store
	reaper   *reaper.Reaper
	listener net.Listener
	server   *http.Server
	stopping context.CancelFunc // ends all waiting
	served   chan struct{}      // closed when the listener's goroutine has ended
}

// New returns a server that does nothing yet. *OptionError if an option makes no sense.
func New(options Options) (*App, error) {
	if err := options.validate(); err != nil {
		return nil, err
	}
	if options.Logger == nil {
		options.Logger = logrus.New()
		options.Logger.SetOutput(io.Discard)
	}
	return &App{
		options: options,
		log:     options.Logger,
		failed:  make(chan error, 2), // one of the store, one of the listener
		served:  make(chan struct{}),
	}, nil
}

// Start opens the store, listens, and starts the reaper. When it returns nil, requests are
// being answered. When it returns an error, nothing is left running.
func (a *App) Start() (err error) {
	stopping, stop := context.WithCancel(context.Background())
	a.stopping = stop
	defer func() {
		if err != nil {
			stop()
		}
	}()
	if a.store, err = a.openStore(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.store.Close())
		}
	}()
	handler, err := api.New(a.store, api.Options{
		Logger:           a.log,
		HeartbeatTimeout: a.options.HeartbeatTimeout,
		MaxWait:          a.options.MaxWait,
		MaxBodyBytes:     a.options.MaxBodyBytes,
		Stopping:         stopping,
	})
	if err != nil {
		return err
	}
	a.reaper = reaper.New(a.store, reaper.Options{
		Interval:         a.options.ReapInterval,
		HeartbeatTimeout: a.options.HeartbeatTimeout,
		MaxRetries:       a.options.MaxRetries,
		Logger:           logging.Adapt(a.log),
	})
	if a.listener, err = new(net.ListenConfig).Listen(stopping, "tcp", a.options.Listen); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	a.server = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(serverLog{a.log}, "", 0),
	}
	a.reaper.Start()
	go a.serve()
	a.log.WithFields(logrus.Fields{"address": a.Addr(), "store": a.options.Store}).Info("listening")
	return nil
}

// serve lets clients in until Stop.
func (a *App) serve() {
	defer close(a.served)
	if err := a.server.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
		a.fail(fmt.Errorf("serve: %w", err))
	}
}

// fail reports what the server cannot go on after. It does not block.
func (a *App) fail(err error) {
	select {
	case a.failed <- err:
	default: // somebody was told already
	}
}

// Addr returns the address that the server listens on, as host:port. "" before Start.
func (a *App) Addr() string {
	if a.listener == nil {
		return ""
	}
	return a.listener.Addr().String()
}

// Failed gives the error that the server cannot go on after, such as that of a store that
// cannot write. It should be stopped then.
func (a *App) Failed() <-chan error { return a.failed }

// Stop ends what Start started. No more connections are accepted, those who wait for a job
// are told that there is none, and what is being answered is finished, until ctx ends: what
// is left is cut off then, which is an error. The reaper ends and the store is closed in any
// case.
func (a *App) Stop(ctx context.Context) error {
	// First, so that whoever is told that there is no job does not ask again here.
	a.server.SetKeepAlivesEnabled(false)
	a.stopping()
	err := a.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("some requests were cut off: %w", err), a.server.Close())
	}
	<-a.served
	a.reaper.Stop()
	if closing := a.store.Close(); closing != nil {
		err = errors.Join(err, fmt.Errorf("close the store: %w", closing))
	}
	return err
}
