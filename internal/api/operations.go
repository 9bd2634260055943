package api

import (
	"fmt"
	"net/http"
	"regexp"

	"github.com/labstack/echo/v4"

	"github.com/longshore-queue/longshore/internal/auth"
)

// operation is what an operation of the contract has beside its path and its body.
type operation struct {
	name        string // as the contract calls it
	needs       rule
	query       map[string]parameter
	idempotent  bool // has an Idempotency-Key
	traced      bool // has a traceparent
	conditional bool // has an If-Match
	cached      bool // has an If-None-Match
	resumed     bool // has a Last-Event-ID
	greedy      bool // wants memory, so that it is put off while that is short
	keys        bool // changes API keys, which is noted whoever calls
}

// parameter is one that may be in the query.
type parameter struct {
	check   func(name, value string) error
	repeats bool // it may be there more than once
}

// operations are those of the contract, by method and Echo's way of writing the path. One that is
// not here, or has no rule, keeps the server from starting.
func operations() map[string]operation {
	var (
		names   = parameter{check: checkNames}
		limit   = parameter{check: checkLimit}
		later   = parameter{check: checkedLater}
		enqueue = rule{scopes: auth.Enqueue}
		work    = rule{scopes: auth.Work}
		read    = rule{scopes: auth.Read}
		admin   = rule{scopes: auth.Admin}
		server  = rule{scopes: auth.Admin, everywhere: true}
		public  = rule{public: true}
	)
	return map[string]operation{
		"POST /v1/jobs": {name: "createJob", needs: enqueue, greedy: true, idempotent: true, traced: true},
		"GET /v1/jobs": {name: "listJobs", needs: read, greedy: true, query: map[string]parameter{
			"state": {check: checkStates}, "type": names, "channel": names,
			"label": {check: checkLabel, repeats: true}, "queued_from": {check: checkTime}, "queued_before": {check: checkTime},
			"order": {check: checkOrder}, "fields": {check: checkFields}, "limit": limit, "cursor": {check: checkCursor},
		}},
		"POST /v1/jobs/batch":       {name: "createJobs", needs: enqueue, greedy: true, idempotent: true, traced: true},
		"POST /v1/jobs/cancel":      {name: "cancelJobs", needs: rule{scopes: auth.Enqueue | auth.Read}},
		"POST /v1/jobs/retry":       {name: "retryJobs", needs: rule{scopes: auth.Enqueue | auth.Read}},
		"POST /v1/jobs/delete":      {name: "deleteJobs", needs: rule{scopes: auth.Admin | auth.Read}},
		"POST /v1/jobs/wait":        {name: "waitForJobs", needs: read, greedy: true},
		"PATCH /v1/jobs/:id":        {name: "updateJob", needs: enqueue, conditional: true},
		"GET /v1/jobs/:id":          {name: "getJob", needs: read, cached: true, query: map[string]parameter{"wait_seconds": {check: checkWait}}},
		"DELETE /v1/jobs/:id":       {name: "deleteJob", needs: admin},
		"POST /v1/jobs/:id/cancel":  {name: "cancelJob", needs: enqueue},
		"POST /v1/jobs/:id/retry":   {name: "retryJob", needs: enqueue},
		"GET /v1/jobs/:id/attempts": {name: "listAttempts", needs: read},
		"GET /v1/jobs/:id/explain":  {name: "explainJob", needs: read},
		"POST /v1/jobs/:id/dequeue": {name: "dequeueJob", needs: work, idempotent: true},

		"POST /v1/dequeue":                 {name: "dequeue", needs: work, idempotent: true},
		"POST /v1/dequeue/batch":           {name: "dequeueBatch", needs: work, idempotent: true},
		"POST /v1/leases/heartbeat":        {name: "heartbeats", needs: work},
		"GET /v1/leases/:token":            {name: "getLease", needs: work},
		"POST /v1/leases/:token/heartbeat": {name: "heartbeat", needs: work},
		"POST /v1/leases/:token/finish":    {name: "finishLease", needs: work},
		"POST /v1/leases/:token/fail":      {name: "failLease", needs: work},
		"POST /v1/leases/:token/release":   {name: "releaseLease", needs: work},

		"GET /v1/queues":  {name: "listQueues", needs: read, query: map[string]parameter{"type": names, "channel": names, "limit": limit, "cursor": later}},
		"GET /v1/workers": {name: "listWorkers", needs: read, query: map[string]parameter{"limit": limit, "cursor": later}},
		"GET /v1/demand":  {name: "getDemand", needs: read, query: map[string]parameter{"types": names, "channels": names, "labels": names}},
		"GET /v1/events":  {name: "streamEvents", needs: read, greedy: true, resumed: true, query: map[string]parameter{"channel": names, "type": names, "id": {check: checkIDs}}},

		"POST /v1/admin/backup":      {name: "createBackup", needs: server},
		"POST /v1/admin/keys":        {name: "createKey", needs: admin, idempotent: true, keys: true},
		"GET /v1/admin/keys":         {name: "listKeys", needs: admin, query: map[string]parameter{"limit": limit, "cursor": later}},
		"DELETE /v1/admin/keys/:key": {name: "revokeKey", needs: admin, keys: true},

		"GET /v1/errors":       {name: "listErrors", needs: public},
		"GET /v1/errors/:code": {name: "getError", needs: public},
		"GET /healthz":         {name: "getHealth", needs: public},
		"GET /readyz":          {name: "getReadiness", needs: public},
		"GET /openapi.json":    {name: "getOpenAPIJSON", needs: public},
		"GET /openapi.yml":     {name: "getOpenAPIYAML", needs: public},
	}
}

// route is a path of the contract.
type route struct {
	template string // the path as the contract writes it
	methods  []method
}

// method is what a route does for one method.
type method struct {
	verb      string
	operation operation
}

// parameterName is a parameter in one of Echo's routes.
var parameterName = regexp.MustCompile(`:(\w+)`)

// routesOf finds the operation of each of Echo's routes, by path.
func routesOf(registered []*echo.Route, operations map[string]operation) (map[string]route, error) {
	routes := make(map[string]route)
	for _, one := range registered {
		verb := one.Method
		if verb == http.MethodHead {
			verb = http.MethodGet
		}
		op, found := operations[verb+" "+one.Path]
		if !found || op.needs == (rule{}) {
			return nil, fmt.Errorf("api: nothing says who may call %s %s", one.Method, one.Path)
		}
		r := routes[one.Path]
		r.template = parameterName.ReplaceAllString(one.Path, "{$1}")
		r.methods = append(r.methods, method{one.Method, op})
		routes[one.Path] = r
	}
	return routes, nil
}

// operationOf is the operation that a request is for; nil if there is nothing at its path, or not
// with its method.
func (a *API) operationOf(c echo.Context) *operation {
	methods := a.routes[c.Path()].methods
	for i := range methods {
		if methods[i].verb == c.Request().Method {
			return &methods[i].operation
		}
	}
	return nil
}
