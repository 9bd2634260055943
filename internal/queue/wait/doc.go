// Package wait puts callers to sleep and wakes the right ones. A Line holds the callers that
// wait for a job, by lane, and gives each job to the one that came first; a Watch holds the
// callers that wait for something to happen to one thing, and wakes all of them; a Feed keeps the
// newest of what happens, for those who read all of it, and Events is the feed of what happens to
// jobs; a Roster remembers who asked for jobs, and CallsUnderWay which
// idempotent calls are not answered yet.
//
// The package knows nothing of jobs' states, of stores or of time: whoever calls Take or
// Notify decides that there is a reason to, and contexts carry the deadlines.
package wait
