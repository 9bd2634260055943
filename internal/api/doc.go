// Package api is the HTTP edge: it turns the requests of api/openapi.yml into calls on a
// queue, and what those return into the answers that the contract promises.
//
// A request passes through edge.go (request id, access log, panics, the shape of path and
// query), then body.go and decode.go (a strict reading of the body), then the handler of its
// resource (jobs.go, leases.go, service.go), and answers.go and encode.go write what it found.
// convert.go is the only place where the types of the contract meet those of the domain, and
// problems.go the only one where an error becomes a status and a code.
//
// The package decides nothing about jobs: no state, no retry and no order is known here. It
// starts no goroutines and listens on nothing.
package api
