package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// The stable codes of problem documents.
const (
	codeAlreadyReported      = "already-reported"
	codeBodyTooLarge         = "body-too-large"
	codeDependencyNotFound   = "dependency-not-found"
	codeErrorNotFound        = "error-not-found"
	codeInternal             = "internal"
	codeInvalidJSON          = "invalid-json"
	codeInvalidRequest       = "invalid-request"
	codeJobCanceled          = "job-canceled"
	codeJobNotFound          = "job-not-found"
	codeJobNotPending        = "job-not-pending"
	codeJobNotRunning        = "job-not-running"
	codeLeaseLost            = "lease-lost"
	codeLeaseNotFound        = "lease-not-found"
	codeMethodNotAllowed     = "method-not-allowed"
	codeRequestTimeout       = "request-timeout"
	codeRouteNotFound        = "route-not-found"
	codeUnavailable          = "unavailable"
	codeUnsupportedMediaType = "unsupported-media-type"
)

// kind is a kind of problem: what all errors of one code have in common.
type kind struct {
	code        string
	status      int
	title       string
	description string // for the catalogue: what happened and what to do
	detail      string // of an error that knows nothing more particular
}

// kinds is the catalogue, ordered by code. What is not in it cannot be answered.
func kinds() []kind {
	return []kind{
		{
			codeAlreadyReported, http.StatusConflict, "The lease was reported on before",
			"The worker reported another outcome under this token before, and that one was kept. The same report again would have been answered as the first time.",
			"another outcome was reported under this token before; that one was kept",
		}, {
			codeBodyTooLarge, http.StatusRequestEntityTooLarge, "The body is too large",
			"The body is longer than the server's --max-body-bytes. Keep large data elsewhere and send a reference to it.",
			"the body is longer than this server accepts",
		}, {
			codeDependencyNotFound, http.StatusUnprocessableEntity, "A dependency does not exist",
			"The job names a dependency that no job has as its id; the field tells which. Nothing was created. Create dependencies first.",
			"a dependency does not exist; nothing was created",
		}, {
			codeErrorNotFound, http.StatusNotFound, "There is no such error code",
			"No error has this code. GET /v1/errors lists them all.",
			"no error has this code; /v1/errors lists them all",
		}, {
			codeInternal, http.StatusInternalServerError, "The server failed",
			"Something went wrong that is not the client's fault. The server's log has the cause under the request id. Whether the change was made is not known.",
			"the server failed; its log has the cause under this request id",
		}, {
			codeInvalidJSON, http.StatusBadRequest, "The body is not valid JSON",
			"The body is not one JSON value in UTF-8, or it is nested more than 64 deep. Nothing was changed.",
			"the body is not valid JSON",
		}, {
			codeInvalidRequest, http.StatusBadRequest, "The request is not valid",
			"A field of the body, or a parameter of the path or the query, is missing, unknown, of the wrong type, or outside its limits; the field tells which. Nothing was changed.",
			"the request is not valid",
		}, {
			codeJobCanceled, http.StatusConflict, "The job was canceled",
			"The job was canceled while the worker had it, so its report was not kept. Stop working on it.",
			"the job was canceled; the report was not kept",
		}, {
			codeJobNotFound, http.StatusNotFound, "There is no such job",
			"No job has this id.",
			"no job has this id",
		}, {
			codeJobNotPending, http.StatusConflict, "The job is not pending",
			"Only a pending job can be leased, and this one is blocked, running, or over. GET /v1/jobs/{id} tells which.",
			"the job is not pending",
		}, {
			codeJobNotRunning, http.StatusConflict, "The job is over",
			"The job finished or failed already, and was left as it is.",
			"the job finished or failed already",
		}, {
			codeLeaseLost, http.StatusConflict, "The lease is over",
			"The lease was taken back because no heartbeat came in time, or it was released or reported on. Another worker may have the job. Stop working on it.",
			"the lease is over; stop working on its job",
		}, {
			codeLeaseNotFound, http.StatusNotFound, "There is no such lease",
			"No lease ever had this token, or its job is no longer kept.",
			"no lease has this token",
		}, {
			codeMethodNotAllowed, http.StatusMethodNotAllowed, "The method is not allowed",
			"The path exists, but not with this method. The header Allow lists those that it has.",
			"this path does not have this method; the header Allow lists those that it has",
		}, {
			codeRequestTimeout, http.StatusRequestTimeout, "The body took too long",
			"The body did not arrive within the time that the server waits for one. Nothing was changed.",
			"the body did not arrive in time",
		}, {
			codeRouteNotFound, http.StatusNotFound, "There is no such path",
			"The server has nothing at this path. GET /openapi.json describes what it has.",
			"there is nothing at this path; /openapi.json describes what there is",
		}, {
			codeUnavailable, http.StatusServiceUnavailable, "The server cannot take requests now",
			"The server is shutting down, or its store has failed. Whether the change was made is not known. Try again after the time in Retry-After.",
			"the server cannot take requests now; try again after the time in Retry-After",
		}, {
			codeUnsupportedMediaType, http.StatusUnsupportedMediaType, "The body is not declared as plain JSON",
			"A body must come with Content-Type: application/json, in UTF-8 and without Content-Encoding.",
			"the body must come with Content-Type: application/json, without Content-Encoding",
		},
	}
}

// cause says which code a sentinel of the domain is answered with. Where the code depends on
// what the route is about, leaseCode is the one for leases.
type cause struct {
	err       error
	code      string
	leaseCode string
}

// causes lists every sentinel of the domain. The first that matches counts.
func causes() []cause {
	return []cause{
		{queue.ErrNotExist, codeJobNotFound, codeLeaseNotFound},
		{queue.ErrNotPending, codeJobNotPending, codeJobNotPending},
		{queue.ErrNotRunning, codeJobNotRunning, codeJobNotRunning},
		{queue.ErrCanceled, codeJobCanceled, codeJobCanceled},
		{queue.ErrLeaseLost, codeLeaseLost, codeLeaseLost},
		{queue.ErrAlreadyReported, codeAlreadyReported, codeAlreadyReported},
		{queue.ErrUnavailable, codeUnavailable, codeUnavailable},
		{queue.ErrDamaged, codeInternal, codeInternal},
		// The dequeue handler answers it with 204; anywhere else it is a bug.
		{queue.ErrDequeueTimeout, codeInternal, codeInternal},
	}
}

// catalogue finds kinds and causes without building them for each error.
type catalogue struct {
	kinds  []kind
	causes []cause
}

func newCatalogue() catalogue { return catalogue{kinds: kinds(), causes: causes()} }

// find returns the kind with the code.
func (c catalogue) find(code string) (kind, bool) {
	i, found := slices.BinarySearchFunc(c.kinds, code, func(k kind, code string) int {
		return strings.Compare(k.code, code)
	})
	if !found {
		return kind{}, false
	}
	return c.kinds[i], true
}

// requestError is an error that the edge itself finds in a request.
type requestError struct {
	code   string
	detail string // "" is what the kind says
	field  string // may be empty
}

func (e *requestError) Error() string { return e.code + ": " + e.detail }

// invalid is an invalid-request about one field or parameter.
func invalid(field, reason string) *requestError {
	return &requestError{code: codeInvalidRequest, detail: field + ": " + reason, field: field}
}

// explain turns an error into the problem that a client is shown. Whatever is not known to
// be meant for clients becomes "internal", without its text. aboutLease tells what the route
// is about.
func (c catalogue) explain(err error, aboutLease bool) (kind, requestError) {
	known := c.classify(err, aboutLease)
	k, found := c.find(known.code)
	if !found {
		k, _ = c.find(codeInternal)
		known = requestError{code: codeInternal}
	}
	if known.detail == "" {
		known.detail = k.detail
	}
	return k, known
}

func (c catalogue) classify(err error, aboutLease bool) requestError {
	var (
		request    *requestError
		field      *queue.InvalidError
		dependency *queue.DependencyError
		framework  *echo.HTTPError
	)
	switch {
	case errors.As(err, &request):
		return *request
	case errors.Is(err, errNoBody):
		return requestError{code: codeInvalidRequest, detail: "a JSON body is required"}
	case errors.As(err, &field):
		return *invalid(field.Field, field.Reason)
	case errors.As(err, &dependency):
		return requestError{
			code:   codeDependencyNotFound,
			detail: dependency.Error() + "; nothing was created",
			field:  "dependencies[" + itoa(dependency.Index) + "]",
		}
	case errors.As(err, &framework):
		return requestError{code: frameworkCode(framework.Code)}
	}
	for _, cause := range c.causes {
		if errors.Is(err, cause.err) {
			if aboutLease {
				return requestError{code: cause.leaseCode}
			}
			return requestError{code: cause.code}
		}
	}
	return requestError{code: codeInternal}
}

// frameworkCode is for the errors that Echo and the generated code make themselves.
func frameworkCode(status int) string {
	switch status {
	case http.StatusNotFound:
		return codeRouteNotFound
	case http.StatusMethodNotAllowed:
		return codeMethodNotAllowed
	case http.StatusBadRequest:
		return codeInvalidRequest // its text may hold a token, so it is not shown
	default:
		return codeInternal
	}
}

// problem writes the document of one error.
func problem(k kind, e requestError, requestID string) ([]byte, error) {
	document := oapi.Problem{
		Type:      "/v1/errors/" + k.code,
		Title:     k.title,
		Status:    k.status,
		Detail:    e.detail,
		Code:      k.code,
		RequestId: requestID,
	}
	if e.field != "" {
		document.Field = &e.field
	}
	text, err := json.Marshal(document)
	return append(text, '\n'), err
}

// view is the kind's entry in the catalogue.
func (k kind) view() oapi.ErrorDescription {
	return oapi.ErrorDescription{Code: k.code, Title: k.title, Status: k.status, Description: k.description}
}
