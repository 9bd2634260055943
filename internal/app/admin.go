package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log" //nolint:depguard // http.Server takes no other logger
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"runtime"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/buildinfo"
	"github.com/longshore-queue/longshore/internal/metrics"
	"github.com/longshore-queue/longshore/internal/reaper"
)

const (
	// adminTimeout bounds an answer of the admin listener: a profile takes as long as it is asked to.
	adminTimeout = 5 * time.Minute
	// readyTimeout bounds how long the store may take to say that it works.
	readyTimeout = 5 * time.Second
)

// admin is the listener for operators. It is there while clients are let in, and while the server stops.
type admin struct {
	listener net.Listener
	server   *http.Server
	served   chan struct{} // closed when the listener's goroutine has ended; nil if there is none
}

// validateAdmin returns an *OptionError if the admin listener makes no sense.
func (o Options) validateAdmin() error {
	switch {
	case o.AdminListen == "":
		return nil
	case !isAddress(o.AdminListen):
		return &OptionError{"AdminListen", fmt.Sprintf("must be HOST:PORT, with a port from 0 to 65535, not %q", o.AdminListen)}
	case !o.Insecure && !isLoopback(o.AdminListen):
		return &OptionError{"AdminListen", fmt.Sprintf("must be a loopback address such as 127.0.0.1:8081, not %q: nobody is asked there who they are; or say --insecure if whoever reaches it may look into the server", o.AdminListen)}
	default:
		return nil
	}
}

// isLoopback reports whether an address can be reached from this machine only. A name other than
// localhost may be any address by the time it is looked up.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// listenAdmin begins to listen. Who connects waits until serveAdmin.
func (a *App) listenAdmin(ctx context.Context) error {
	if a.options.AdminListen == "" {
		return nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", a.options.AdminListen)
	if err != nil {
		return fmt.Errorf("listen for operators: %w", err)
	}
	a.admin = &admin{listener: listener}
	a.metrics = metrics.New(buildinfo.Read())
	return nil
}

// AdminAddr returns the address of the admin listener, as host:port. "" if there is none.
func (a *App) AdminAddr() string {
	if a.admin == nil {
		return ""
	}
	return a.admin.listener.Addr().String()
}

// requests is whom the API tells of requests; nil for nobody.
func (a *App) requests() api.Observer {
	if a.metrics == nil {
		return nil
	}
	return a.metrics.Requests
}

// upkeep is the store as the reaper and the pruner see it.
func (a *App) upkeep() (reaper.Queue, reaper.Store) {
	if a.metrics == nil {
		return a.store, a.store
	}
	return a.metrics.Reaped(a.store), a.metrics.Pruned(a.store)
}

// serveAdmin answers operators. stopping ends when the server begins to stop.
func (a *App) serveAdmin(stopping context.Context) {
	if a.admin == nil {
		return
	}
	a.metrics.AddQueue(a.store)
	a.admin.served = make(chan struct{})
	a.admin.server = &http.Server{
		Handler:           a.adminHandler(stopping),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       headerTimeout,
		WriteTimeout:      adminTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(serverLog{a.log}, "", 0),
	}
	go func() {
		defer close(a.admin.served)
		if err := a.admin.server.Serve(a.admin.listener); !errors.Is(err, http.ErrServerClosed) {
			a.fail(fmt.Errorf("serve operators: %w", err))
		}
	}()
	a.log.WithFields(logrus.Fields{"address": a.AdminAddr()}).Info("listening for operators")
}

// close ends the listener and its answers.
func (a *admin) close() error {
	switch {
	case a == nil:
		return nil
	case a.served == nil:
		return a.listener.Close()
	}
	err := a.server.Close()
	<-a.served
	return err
}

// adminHandler has nothing of what the process was called with: the address of a database may hold its
// password.
func (a *App) adminHandler(stopping context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", a.metrics.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		a.answer(w, http.StatusOK, map[string]any{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		if stopping.Err() != nil || a.store.Ready(ctx) != nil {
			a.answer(w, http.StatusServiceUnavailable, map[string]any{"status": "unavailable"})
			return
		}
		a.answer(w, http.StatusOK, map[string]any{"status": "ok"})
	})
	mux.HandleFunc("GET /debug/vars", func(w http.ResponseWriter, _ *http.Request) {
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		a.answer(w, http.StatusOK, map[string]any{
			"build": buildinfo.Read(), "goroutines": runtime.NumGoroutine(), "processors": runtime.GOMAXPROCS(0), "memory": memory,
		})
	})
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	guard := a.options.adminLoopback()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		if guard != nil && guard.Check(r) != nil {
			a.answer(w, http.StatusForbidden, map[string]any{
				"status": "forbidden", "detail": "this listener is called by a loopback address, as localhost, or by an --allowed-host",
			})
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// answer writes JSON.
func (a *App) answer(w http.ResponseWriter, status int, what map[string]any) {
	text, err := json.Marshal(what)
	if err != nil {
		a.log.WithError(err).Error("an answer to an operator was not written")
		status, text = http.StatusInternalServerError, []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the operator has gone
}
