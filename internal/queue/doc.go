// Package queue is Longshore's domain: what a job, a lease and a queue are, which changes
// of a job's state are legal, and the contract that every engine keeps.
//
// Its rules (rules.go, dependencies.go, reports.go) are pure: they take the time and the
// present state as arguments, return the next state, and do no input or output. An engine
// reads a Record, asks a rule for the next one, and writes it, as one atomic change.
//
// The package does not store, log, sleep, speak HTTP, or know any engine. Its vocabulary and
// the ten operations of JobQueue come from osbuild-composer's pkg/jobqueue; docs/origin.md
// says what was kept and what was changed.
package queue
