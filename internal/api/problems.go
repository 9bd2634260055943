package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/queue"
)

// cause says which code a sentinel of the domain is answered with. Where the code depends on
// what the route is about, leaseCode is the one for leases.
type cause struct {
	err       error
	code      string
	leaseCode string
}

// causes lists every sentinel of the domain, and those about credentials. The first that matches
// counts.
func causes() []cause {
	return []cause{
		{queue.ErrNotExist, codeJobNotFound, codeLeaseNotFound},
		{queue.ErrNotPending, codeJobNotPending, codeJobNotPending},
		{queue.ErrNotRunning, codeJobNotRunning, codeJobNotRunning},
		{queue.ErrCanceled, codeJobCanceled, codeJobCanceled},
		{queue.ErrLeaseLost, codeLeaseLost, codeLeaseLost},
		{queue.ErrAlreadyReported, codeAlreadyReported, codeAlreadyReported},
		{queue.ErrChanged, codeJobChanged, codeJobChanged},
		{queue.ErrNotFailed, codeJobNotFailed, codeJobNotFailed},
		{queue.ErrNotOver, codeJobNotOver, codeJobNotOver},
		{queue.ErrDeleted, codeJobDeleted, codeJobDeleted},
		{queue.ErrBackupExists, codeBackupExists, codeBackupExists},
		{queue.ErrBackupUnderWay, codeBackupUnderWay, codeBackupUnderWay},
		{queue.ErrDependencyFailed, codeDependencyFailed, codeDependencyFailed},
		{queue.ErrUniqueKeyTaken, codeUniqueKeyTaken, codeUniqueKeyTaken},
		{queue.ErrKeyReused, codeKeyReused, codeKeyReused},
		{queue.ErrKeyInUse, codeKeyInUse, codeKeyInUse},
		{queue.ErrNoAPIKey, codeKeyNotFound, codeKeyNotFound},
		{queue.ErrAPIKeyExists, codeKeyExists, codeKeyExists},
		{queue.ErrTwoAPIKeys, codeKeyNameTaken, codeKeyNameTaken},
		{queue.ErrAPIKeyName, codeKeyNameTaken, codeKeyNameTaken},
		{queue.ErrTooManyAPIKeys, codeTooManyKeys, codeTooManyKeys},
		{queue.ErrUnavailable, codeUnavailable, codeUnavailable},
		{queue.ErrDamaged, codeInternal, codeInternal},
		// The dequeue handler answers it with 204; anywhere else it is a bug.
		{queue.ErrDequeueTimeout, codeInternal, codeInternal},
		{auth.ErrNoCredential, codeUnauthenticated, codeUnauthenticated},
		{auth.ErrBadCredential, codeUnauthenticated, codeUnauthenticated},
		{auth.ErrCannotTell, codeUnavailable, codeUnavailable},
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
	detail string        // "" is what the kind says
	field  string        // may be empty
	after  time.Duration // when to try again, where that is known
}

func (e *requestError) Error() string { return e.code + ": " + e.detail }

// invalid is an invalid-request about one field or parameter.
func invalid(field, reason string) *requestError {
	return &requestError{code: codeInvalidRequest, detail: field + ": " + reason, field: field}
}

// inside is the error of a value that is part of another one: prefix goes before its field.
func inside(err error, prefix string) error {
	var request *requestError
	if !errors.As(err, &request) || request.field == "" {
		return err
	}
	return &requestError{code: request.code, detail: prefix + request.detail, field: prefix + request.field, after: request.after}
}

// ofBatch is an error that the queue has with one of the jobs of a batch.
func ofBatch(err error) error {
	var (
		field      *queue.InvalidError
		dependency *queue.DependencyError
		channel    *channelError
	)
	switch {
	case errors.As(err, &channel):
		return inside(err, ofJob(channel.job))
	case errors.As(err, &field) && field.Field != wholeBatch:
		return invalid(ofJob(field.Job)+field.Field, field.Reason)
	case errors.As(err, &dependency):
		missing := missingDependency(dependency)
		missing.field = ofJob(dependency.Job) + missing.field
		return &missing
	default:
		return err
	}
}

// wholeBatch is the field of an error that is about all the jobs of a batch.
const wholeBatch = "jobs"

// ofJob is what the fields of one job of a batch begin with.
func ofJob(index int) string { return wholeBatch + "[" + itoa(index) + "]." }

func missingDependency(e *queue.DependencyError) requestError {
	return requestError{
		code:   codeDependencyNotFound,
		detail: e.Error() + "; nothing was created",
		field:  "dependencies[" + itoa(e.Index) + "]",
	}
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
		return missingDependency(dependency)
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
