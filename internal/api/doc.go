// Package api is the HTTP edge: it turns the requests of api/openapi.yml into calls on a
// queue, and what those return into the answers that the contract promises.
//
// A request passes through edge.go (request id, access log, panics), parameters.go (the shape of
// path and query) and terms.go (headers that change what it means), then body.go, scanner.go and
// decode.go (a strict reading of the body), then the handler of its resource (create.go,
// jobs.go, list.go, update.go, leases.go, service.go), and answers.go and encode.go write what
// it found. convert.go and convert_job.go are the only place where the types of the contract
// meet those of the domain, and problems.go, with the catalogue of codes in catalogue.go, the
// only one where an error becomes a status and a code.
//
// The package decides nothing about jobs: no state, no retry and no order is known here. It
// starts no goroutines and listens on nothing.
package api
