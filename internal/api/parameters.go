package api

import (
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// checkPath, checkQuery and takeTerms refuse what is wrong with a request's URL and headers,
// before the generated code sees it: that accepts more forms of a UUID than the contract,
// overlooks parameters it does not know, and repeats a bad value in its errors, which may be
// a token.

// operation is what an operation of the contract has beside its path and its body.
type operation struct {
	name        string // as the contract calls it
	query       map[string]parameter
	idempotent  bool // has an Idempotency-Key
	traced      bool // has a traceparent
	conditional bool // has an If-Match
	cached      bool // has an If-None-Match
}

// parameter is one that may be in the query.
type parameter struct {
	check   func(name, value string) error
	repeats bool // it may be there more than once
}

// operations are those that have any of it, by method and Echo's way of writing the path.
func operations() map[string]operation {
	names := parameter{check: checkNames}
	return map[string]operation{
		"GET /v1/events": {name: "streamEvents", query: map[string]parameter{"channel": names, "type": names, "id": {check: checkIDs}}},
		"GET /v1/queues": {name: "listQueues", query: map[string]parameter{
			"type": names, "channel": names, "limit": {check: checkLimit}, "cursor": {check: checkedLater},
		}},
		"GET /v1/workers":           {name: "listWorkers", query: map[string]parameter{"limit": {check: checkLimit}, "cursor": {check: checkedLater}}},
		"GET /v1/demand":            {name: "getDemand", query: map[string]parameter{"types": names, "channels": names, "labels": names}},
		"POST /v1/jobs":             {name: "createJob", idempotent: true, traced: true},
		"POST /v1/jobs/batch":       {name: "createJobs", idempotent: true, traced: true},
		"POST /v1/dequeue":          {name: "dequeue", idempotent: true},
		"POST /v1/dequeue/batch":    {name: "dequeueBatch", idempotent: true},
		"POST /v1/jobs/:id/dequeue": {name: "dequeueJob", idempotent: true},
		"PATCH /v1/jobs/:id":        {name: "updateJob", conditional: true},
		"GET /v1/jobs/:id":          {name: "getJob", cached: true, query: map[string]parameter{"wait_seconds": {check: checkWait}}},
		"GET /v1/jobs": {name: "listJobs", query: map[string]parameter{
			"state": {check: checkStates}, "type": names, "channel": names,
			"label": {check: checkLabel, repeats: true}, "queued_from": {check: checkTime}, "queued_before": {check: checkTime},
			"order": {check: checkOrder}, "fields": {check: checkFields}, "limit": {check: checkLimit}, "cursor": {check: checkCursor},
		}},
	}
}

// operationOf is the operation of a request that may have none of all that.
func (a *API) operationOf(c echo.Context) operation {
	method := c.Request().Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	return a.operations[method+" "+c.Path()]
}

func checkPath(c echo.Context) error {
	for _, name := range c.ParamNames() {
		if name != "id" && name != "token" {
			continue
		}
		value := c.Param(name)
		if value == "" {
			return &requestError{code: codeRouteNotFound}
		}
		if _, ok := parseUUID(value); !ok {
			return invalid(name, "must be a UUID of 36 characters")
		}
	}
	return nil
}

// checkQuery is for routes of the contract: what is wrong with a query goes after a path or a
// method that is not there.
func (a *API) checkQuery(c echo.Context) error {
	values, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return &requestError{code: codeInvalidRequest, detail: "the query of the URL is malformed"}
	}
	known := a.operationOf(c).query
	for name, given := range values {
		p, found := known[name]
		switch {
		case !found:
			return invalid(shorten(name), "is not a known parameter")
		case len(given) != 1 && !p.repeats:
			return invalid(name, "is there twice")
		}
		for _, value := range given {
			if err := p.check(name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkWait(name, value string) error {
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return invalid(name, "must be a number")
	}
	return checkSeconds(name, seconds)
}

func checkLimit(name, value string) error {
	limit, err := strconv.ParseUint(value, 10, 16)
	if err != nil || limit < 1 || limit > queue.MaxPage {
		return invalid(name, "must be an integer from 1 to "+itoa(queue.MaxPage))
	}
	return nil
}

func checkStates(name, value string) error {
	_, err := statesOf(name, value)
	return err
}

func checkNames(name, value string) error {
	_, err := namesOf(name, value)
	return err
}

func checkIDs(name, value string) error {
	_, err := idsOf(name, value)
	return err
}

func checkLabel(name, value string) error {
	if value == "" {
		return invalid(name, "must be the name of a label, or name=value")
	}
	return nil // the domain says the rest
}

func checkTime(name, value string) error {
	if _, err := time.Parse(time.RFC3339Nano, value); err != nil {
		return invalid(name, "must be a time such as 2026-11-17T09:30:00Z")
	}
	return nil
}

func checkOrder(name, value string) error {
	if value != string(oapi.NewestFirst) && value != string(oapi.OldestFirst) {
		return invalid(name, "must be newest or oldest")
	}
	return nil
}

func checkFields(name, value string) error {
	_, err := fieldsOf(name, value)
	return err
}

// checkedLater is for what only the handler can check.
func checkedLater(string, string) error { return nil }

func checkCursor(name, value string) error {
	_, err := cursorOf(name, value)
	return err
}

// checkSeconds accepts a duration: finite, and not negative.
func checkSeconds(name string, seconds float64) error {
	if math.IsNaN(seconds) || math.IsInf(seconds, 0) || seconds < 0 {
		return invalid(name, "must be a number of seconds, 0 or more")
	}
	return nil
}

// shorten bounds what is repeated to a client of a name that it chose, in whole characters.
func shorten(name string) string {
	if len(name) <= maxFieldName {
		return name
	}
	end := maxFieldName
	for end > 0 && !utf8.RuneStart(name[end]) {
		end--
	}
	return name[:end] + "..."
}
