package api

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/sirupsen/logrus"

	"github.com/longshore-queue/longshore/internal/auth"
)

const headerRequestID = "X-Request-Id"

// errGone: the client went away before it was answered. Should it be there in spite of that,
// having closed only its own half of the connection, it learns that it got nothing.
var errGone = &requestError{code: codeUnavailable, detail: "the client closed its half of the connection"}

// edge is the one middleware: each further one would cost every request a closure. It names
// the request, refuses what is wrong with its URL and headers, calls the handler, turns its
// error or panic into a problem, and writes the access log.
func (a *API) edge(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		started := time.Now()
		if c.Request().ProtoMajor > 1 {
			// Over HTTP/2, http.Server's WriteTimeout ends a stream when it is over, even one that
			// has nothing to write yet. allowTime sets another one for what is written.
			_ = http.NewResponseController(c.Response().Writer).SetWriteDeadline(time.Time{})
		}
		if c.Request().ContentLength != 0 {
			// Also for a body that no handler reads, such as that of somebody unknown: net/http reads it before it answers.
			_ = readUntil(c.Response().Writer, started.Add(a.options.BodyTimeout))
		}
		header := c.Response().Header()
		header[headerRequestID] = []string{requestID(c.Request())}
		a.secure.set(header, c.Request().TLS != nil)
		answered := false // as long as a panic may end the connection
		a.options.Observer.Began()
		defer func() { a.observe(c, started, answered) }()
		if l := &a.options.Limits; l.Bodies != nil || l.Answers != nil || l.Results != nil {
			defer hasRoom(c).giveBack()
		}
		var f failure
		if a.options.Tracer != nil {
			span := a.beginSpan(c)
			defer func() { endSpan(span, c, answered, f.code) }()
		}
		if err := a.call(next, c, started); err != nil {
			f = a.fail(c, err)
		}
		answered = !f.aborted
		a.allowTimeToEnd(c, f.code != "")
		// The level is looked at first, since the fields are most of the work.
		if a.log.IsLevelEnabled(logrus.InfoLevel) {
			a.access(c, started, f)
		}
		return nil
	}
}

// call calls the handler, and turns its panic into an error. It is told what time it is, because asking is
// not free.
func (a *API) call(next echo.HandlerFunc, c echo.Context, now time.Time) (err error) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			panic(p) // net/http's own way of ending a connection
		default:
			panicked, known := p.(*panicError) // that of a goroutine of the handler's, with its stack
			if !known {
				panicked = &panicError{value: p, stack: debug.Stack()}
			}
			err = panicked
		}
	}()
	if err := a.keepPagesOut(c.Request()); err != nil {
		return err
	}
	if c.Request().URL.RawPath != "" {
		// A path is escaped beyond need to have the router and the handlers read it in two
		// ways. No path of the contract needs an escape.
		return &requestError{code: codeRouteNotFound}
	}
	op := a.operationOf(c)
	if op == nil {
		if err := checkPath(c); err != nil {
			return err
		}
		return next(c) // which says what there is instead
	}
	if err := a.authorise(c, &op.needs, now); err != nil {
		return err
	}
	if err := a.admit(op); err != nil {
		return err
	}
	if err := checkPath(c); err != nil {
		return err
	}
	if c.Request().URL.RawQuery != "" {
		if err := checkQuery(c, op); err != nil {
			return err
		}
	}
	if err := takeTerms(c, op); err != nil {
		return err
	}
	return a.act(next, c, op)
}

// failure is how a request failed; zero if it did not.
type failure struct {
	code    string // that it was answered with
	aborted bool   // the client was left without a whole answer
	refused string // what is wrong with its credential
}

// fail answers with the problem that the error is, and logs the error if it is the server's.
func (a *API) fail(c echo.Context, err error) failure {
	if c.Request().Context().Err() != nil && errors.Is(err, context.Canceled) {
		err = errGone
	}
	k, shown := a.catalogue.explain(err, strings.HasPrefix(c.Path(), "/v1/leases/"))
	w := c.Response()
	id := w.Header().Get(headerRequestID)
	var panicked *panicError
	if !errors.As(err, &panicked) && w.Committed {
		return failure{aborted: true} // the answer was being written: the connection broke
	}
	if k.code == codeInternal {
		entry := a.log.WithError(err).WithFields(logrus.Fields{"request_id": id, "route": a.route(c)})
		if panicked != nil {
			entry = entry.WithField("stack", string(panicked.stack))
		}
		entry.Error("request failed")
	}
	if w.Committed {
		panic(http.ErrAbortHandler) // the client must not take half an answer for a whole one
	}
	if id := c.Param("id"); k.code == codeJobNotFound && id != "" {
		shown.detail = "no job has the id " + id // not a secret, unlike a token
	}
	document, failed := problem(k, shown, id)
	if failed != nil {
		a.log.WithError(failed).WithField("request_id", id).Error("problem not written")
		return failure{code: k.code, aborted: true}
	}
	if k.code == codeUnauthenticated {
		w.Header().Set(echo.HeaderWWWAuthenticate, "Bearer")
	}
	if k.status == http.StatusServiceUnavailable || k.status == http.StatusTooManyRequests || k.code == codeKeyInUse {
		w.Header().Set("Retry-After", retryAfter(shown.after))
	}
	if err := a.write(w, k.status, "application/problem+json", document); err != nil {
		return failure{code: k.code, aborted: true}
	}
	return failure{code: k.code, aborted: errors.Is(err, errGone), refused: whyRefused(err)}
}

// access writes the line of one request. It holds the route and not the path: the paths of
// leases hold tokens.
func (a *API) access(c echo.Context, started time.Time, f failure) {
	r, w := c.Request(), c.Response()
	fields := logrus.Fields{
		"method":      shorten(r.Method),
		"route":       a.route(c),
		"status":      w.Status,
		"bytes":       w.Size,
		"duration_ms": float64(time.Since(started).Microseconds()) / 1000,
		"request_id":  w.Header().Get(headerRequestID),
		"remote_ip":   remoteIP(r),
	}
	if p := auth.PrincipalOf(r.Context()); p != nil {
		fields["principal"] = p.Name
	}
	if f.code != "" {
		fields["code"] = f.code
	}
	if f.refused != "" {
		fields["refused"] = f.refused
	}
	if f.aborted {
		fields["aborted"] = true
	}
	a.log.WithFields(fields).Info("request")
}

// route is the template of the path, as the contract writes it; "" if there is none.
func (a *API) route(c echo.Context) string {
	if c.Request().URL.RawPath != "" {
		return ""
	}
	return a.routes[c.Path()].template
}

// remoteIP is the peer's own address. Headers that claim another are not believed.
func remoteIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return host
}

// requestID is the client's id for the request if that is fit to be logged and repeated,
// else a new one.
func requestID(r *http.Request) string {
	if id := r.Header.Get(headerRequestID); fitRequestID(id) {
		return id
	}
	var id [16]byte
	random := rand.Uint64()
	for i := range id {
		id[i] = hexadecimal[random&15]
		random >>= 4
	}
	return string(id[:])
}

func fitRequestID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '.' || c == '_' || c == '-':
		default:
			return false
		}
	}
	return true
}

// panicError is a handler's panic. It is an internal error whatever was panicked with.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }
