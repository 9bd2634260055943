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
	"github.com/longshore-queue/longshore/internal/auth/apikey"
	"github.com/longshore-queue/longshore/internal/auth/mtls"
	"github.com/longshore-queue/longshore/internal/auth/oidc"
	"github.com/longshore-queue/longshore/internal/collect"
	"github.com/longshore-queue/longshore/internal/logging"
	"github.com/longshore-queue/longshore/internal/metrics"
	"github.com/longshore-queue/longshore/internal/queue/embedded"
	"github.com/longshore-queue/longshore/internal/reaper"
	"github.com/longshore-queue/longshore/internal/tlsfiles"
)

const (
	// headerTimeout is how long a client may take to send the head of a request. The API
	// bounds the body; there is no timeout for the answer, which may take a long poll.
	headerTimeout = 10 * time.Second
	// idleTimeout is how long a connection is kept that nobody uses.
	idleTimeout = 120 * time.Second
	// maxHeaderBytes bounds the head of a request.
	maxHeaderBytes = 16 << 10
	// writeTimeout bounds what net/http writes by itself, such as 100 Continue. The API gives
	// every answer a time of its own, which net/http sets back to this one before it reads the
	// next request.
	writeTimeout = 30 * time.Second
	// firstRequestGrace is how long a connection that never had a request is left open once
	// the server stops: one may be on its way.
	firstRequestGrace = 100 * time.Millisecond
	// maxStreams is how many requests may be under way on one HTTP/2 connection. A client that
	// has more opens another connection.
	maxStreams = 250
	// pingAfter is how long an HTTP/2 connection may be silent before the client is asked whether it is
	// still there. TCP does so too, but behind a proxy it asks only that.
	pingAfter = 30 * time.Second
)

// App is one server. Start and Stop are each called once, by one goroutine.
type App struct {
	options Options
	log     *logrus.Logger
	failed  chan error
	open    func(path string, options embedded.Options) (*embedded.Store, error)

	// Set by Start.
	store    store
	keys     *apikey.Authenticator // nil unless API keys are asked for
	reaper   *reaper.Reaper
	pruner   *reaper.Pruner
	metrics  *metrics.Registry   // nil if nobody can ask for it
	admin    *admin              // nil if there is no such listener
	issuer   *oidc.Authenticator // nil unless tokens of an issuer are asked for
	subjects *mtls.Authenticator // nil unless certificates of clients are asked for
	tls      *tlsfiles.Files     // nil without TLS
	listener net.Listener
	server   *http.Server
	conns    connections
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
		open:    openEngine,
		served:  make(chan struct{}),
	}, nil
}

// Start listens, opens the store, and starts the reaper and the pruner, and the admin listener if there is one. When it returns nil, requests are
// being answered. When it returns an error, nothing is left running, and if that was about
// the address, no store was made. Who connects while the store is being opened waits.
func (a *App) Start() (err error) {
	collect.Less()
	stopping, stop := context.WithCancel(context.Background())
	a.stopping = stop
	defer func() {
		if err != nil {
			stop()
		}
	}()
	if a.options.TLSCert != "" {
		if a.tls, err = tlsfiles.Open(tlsfiles.Options{
			Cert: a.options.TLSCert, Key: a.options.TLSKey, ClientCA: a.options.TLSClientCA, Logger: logging.Adapt(a.log),
		}); err != nil {
			return fmt.Errorf("TLS: %w", err)
		}
	}
	if a.listener, err = new(net.ListenConfig).Listen(stopping, "tcp", a.options.Listen); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.listener.Close())
		}
	}()
	if err := a.listenAdmin(stopping); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.admin.close())
		}
	}()
	if a.store, err = a.openStore(stopping); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.store.Close())
		}
	}()
	authenticators, err := a.authenticators()
	if err != nil {
		return err
	}
	if a.keys != nil {
		if err := a.keys.Start(stopping); err != nil {
			return fmt.Errorf("set up authentication by %s: %w", keysKind, err)
		}
		defer func() {
			if err != nil {
				a.keys.Stop()
			}
		}()
	}
	settings := api.Options{
		Logger:           a.log,
		HeartbeatTimeout: a.options.HeartbeatTimeout,
		MaxWait:          a.options.MaxWait,
		MaxBodyBytes:     a.options.MaxBodyBytes,
		MaxBatchBytes:    a.options.MaxBatchBytes,
		MaxArgsBytes:     a.options.MaxArgsBytes,
		MaxResultBytes:   a.options.MaxResultBytes,
		Backup:           a.backup(),
		Observer:         a.requests(),
		Loopback:         a.options.loopback(),
		Limits:           a.limits(),
		Tracer:           a.options.Tracer,
		Stopping:         stopping,
	}
	if a.keys != nil {
		settings.Keys = a.keys // which knows of what is changed at once
	}
	if len(authenticators) > 0 {
		settings.Authenticator = authenticators
	}
	handler, err := api.New(a.store, settings)
	if err != nil {
		return err
	}
	reaped, pruned := a.upkeep()
	a.reaper = reaper.New(reaped, reaper.Options{
		Interval:         a.options.ReapInterval,
		HeartbeatTimeout: a.options.HeartbeatTimeout,
		MaxRetries:       a.options.MaxRetries,
		Logger:           logging.Adapt(a.log),
	})
	a.pruner = reaper.NewPruner(pruned, a.options.Retention, logging.Adapt(a.log))
	a.server = a.newServer(handler)
	a.reaper.Start()
	a.pruner.Start()
	if a.tls != nil {
		a.tls.Start()
	}
	if a.issuer != nil {
		a.issuer.Start()
	}
	go a.serve()
	a.serveAdmin(stopping)
	fields := logrus.Fields{"address": a.Addr(), "store": NameOfStore(a.options.Store)}
	if a.tls != nil {
		fields["tls"] = true
	}
	a.log.WithFields(fields).Info("listening")
	return nil
}

// newServer returns the server of the handler, with everything bounded.
func (a *App) newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnState:         a.conns.changed,
		ConnContext:       api.WithConn,
		ErrorLog:          log.New(serverLog{a.log}, "", 0),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: pingAfter},

		DisableGeneralOptionsHandler: true, // OPTIONS * has no answer in the contract
	}
}

// serve lets clients in until Stop.
func (a *App) serve() {
	defer close(a.served)
	serve := a.server.Serve
	if a.tls != nil {
		a.server.TLSConfig = a.tls.Config()
		serve = func(l net.Listener) error { return a.server.ServeTLS(l, "", "") }
	}
	if err := serve(a.bounded(a.listener)); !errors.Is(err, http.ErrServerClosed) {
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

// Reload reads files again that the server was told of: those for TLS, that of API keys, and that of
// certificate subjects. What became of it is logged; what cannot be used is left, and what was there stays in
// use. It is called after Start and before Stop.
func (a *App) Reload() {
	if a.tls != nil {
		a.tls.Reload()
	}
	if a.keys != nil {
		if err := a.keys.ReloadFile(); err != nil {
			a.log.WithError(err).Error("the API keys of the file stay as they were")
		}
	}
	if a.subjects != nil {
		if err := a.subjects.Reload(); err != nil {
			a.log.WithError(err).Error("the certificate subjects stay as they were")
		}
	}
}

// Stop ends what Start started. No more connections are accepted, those who wait for a job
// are told that there is none, and what is being answered is finished, until ctx ends: what
// is left is cut off then, which is an error. The reaper and the pruner end, and the store is closed in any
// case.
func (a *App) Stop(ctx context.Context) error {
	// First, so that whoever is told that there is no job does not ask again here.
	a.server.SetKeepAlivesEnabled(false)
	a.stopping()
	// Shutdown gives a connection that never had a request 5 s to send one.
	closing := time.AfterFunc(firstRequestGrace, a.conns.closeNew)
	err := a.server.Shutdown(ctx)
	closing.Stop()
	if err != nil {
		if a.conns.inFlight() {
			err = fmt.Errorf("some requests were cut off: %w", err)
		} else {
			err = nil // there was nobody but connections without a request
		}
		err = errors.Join(err, a.server.Close())
	}
	<-a.served
	if a.tls != nil {
		a.tls.Stop()
	}
	if a.issuer != nil {
		a.issuer.Stop()
	}
	a.reaper.Stop()
	a.pruner.Stop()
	if a.keys != nil {
		a.keys.Stop()
	}
	if failure := a.store.Close(); failure != nil {
		err = errors.Join(err, fmt.Errorf("close the store: %w", failure))
	}
	err = errors.Join(err, a.admin.close())
	return err
}
