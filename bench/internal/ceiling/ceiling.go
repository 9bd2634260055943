// Package ceiling serves POST /v1/jobs, and the same for batches, as the product does, less and
// less of it, to tell how fast that can be at all on a machine.
//
// Each kind answers the same bytes, those that the product's own code makes of one job, but
// for the request id where there is one. None stores anything.
package ceiling

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"time"
	"unsafe"

	"github.com/labstack/echo/v4"
	"github.com/sirupsen/logrus"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/api/oapi" //nolint:depguard // the generated server is part of every ceiling
	"github.com/longshore-queue/longshore/internal/collect"
	"github.com/longshore-queue/longshore/internal/processors"
)

// The kinds of ceiling.
const (
	// Edge is the product's Echo with everything around a handler: net/http with the
	// product's settings, routes, request id, panics, checks of path and query, access log,
	// error handler, the strict reading of the body, and the generated strict server. The
	// handler returns the same bytes at once.
	Edge = "edge"
	// Stock is a new Echo with nothing around the generated strict server: no middleware, and
	// Echo's own binder. The handler is that of Edge.
	Stock = "stock"
	// NoStore is the product's API as it is, its handlers and its writing of JSON included, in
	// front of a queue that does nothing.
	NoStore = "no-store"
	// Log is NoStore in front of a queue that appends each job to a file, and Pebble of one that writes three keys of that:
	// what it costs to have a job on disk at all, and in what the product has it in.
	Log    = "log"
	Pebble = "pebble"
	// Unread is net/http with nothing but a handler that reads a body without looking at it,
	// and answers what the product would have answered to the first one. It is for batches.
	Unread = "unread"
)

// Kinds lists those that serve POST /v1/jobs.
func Kinds() []string { return []string{Edge, Stock, NoStore, Log, Pebble} }

// What internal/app sets of http.Server, apart from its hook that looks after connections.
const (
	headerTimeout  = 10 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = 120 * time.Second
	maxHeaderBytes = 16 << 10
)

// stopTimeout is how long requests that are under way may take to end.
const stopTimeout = 5 * time.Second

// Serve serves a kind of ceiling on an address until ctx ends. What keeps something does so in a directory.
func Serve(ctx context.Context, kind, directory, address string, logger *logrus.Logger) (err error) {
	collect.Less() // as the server does
	if kind == Log || kind == Pebble {
		processors.OneMore() // as the server does that has a store on disk
	}
	q, closeIt, err := openQueue(kind, directory)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeIt()) }()
	handler, err := newHandler(kind, q, logger)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,

		DisableGeneralOptionsHandler: true,
	}
	stopped := make(chan error, 1)
	forget := context.AfterFunc(ctx, func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		stopped <- server.Shutdown(stopping)
	})
	err = server.Serve(listener)
	if forget() {
		return fmt.Errorf("serve: %w", err) // nobody stopped it
	}
	return <-stopped
}

// openQueue opens the queue that a kind has behind its handlers.
func openQueue(kind, directory string) (q api.Queue, closeIt func() error, err error) {
	switch kind {
	case Log:
		return openLog(directory)
	case Pebble:
		return openPebble(directory)
	default:
		return nothing{}, func() error { return nil }, nil
	}
}

func newHandler(kind string, q api.Queue, logger *logrus.Logger) (http.Handler, error) {
	product, err := api.New(q, api.Options{Logger: logger})
	if err != nil {
		return nil, err
	}
	switch kind {
	case NoStore, Log, Pebble:
		return product, nil
	case Unread:
		return &unread{product: product}, nil
	}
	answer, err := record()
	if err != nil {
		return nil, err
	}
	switch kind {
	case Edge:
		router, err := routerOf(product)
		if err != nil {
			return nil, err
		}
		// Registered again, a route replaces the one there was.
		oapi.RegisterHandlers(router, oapi.NewStrictHandler(&constant{product, answer}, nil))
		return product, nil
	case Stock:
		router := echo.New()
		router.Logger.SetOutput(io.Discard)
		answer.header.Set(echo.HeaderXRequestID, "0123456789abcdef") // it has no middleware to set it
		oapi.RegisterHandlers(router, oapi.NewStrictHandler(&constant{product, answer}, nil))
		return router, nil
	default:
		return nil, fmt.Errorf("%q is no kind of ceiling", kind)
	}
}

// routerOf returns the Echo inside an API. The product has no use for giving it out, and a
// copy of what is around its handlers would soon not be what is measured.
func routerOf(product *api.API) (*echo.Echo, error) {
	field := reflect.ValueOf(product).Elem().FieldByName("echo")
	if !field.IsValid() || field.Type() != reflect.TypeFor[*echo.Echo]() {
		return nil, fmt.Errorf("%T has no field echo any more; see where its router is now", product)
	}
	return *(**echo.Echo)(unsafe.Pointer(field.UnsafeAddr())), nil
}

// constant has the product's handlers, but two that do nothing.
type constant struct {
	oapi.StrictServerInterface
	answer *answer
}

// CreateJob answers POST /v1/jobs.
func (c *constant) CreateJob(context.Context, oapi.CreateJobRequestObject) (oapi.CreateJobResponseObject, error) {
	return c.answer, nil
}

// Dequeue waits until the caller is gone: what waits here takes no more memory than waiting does.
func (*constant) Dequeue(ctx context.Context, _ oapi.DequeueRequestObject) (oapi.DequeueResponseObject, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}
