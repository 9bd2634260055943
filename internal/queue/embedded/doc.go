// Package embedded is the queue engine that lives in one directory, on Pebble.
//
// One writer at a time, under one mutex: it asks the rules of package queue for the change,
// builds a small batch, commits it without waiting for the disk, and releases the mutex; then
// it waits, outside of the mutex, until a sync that began after its commit is done. One
// goroutine turns all the waits that gathered into one sync: the write-ahead log is
// sequential, so one sync covers every record before it. What depends on a change that is
// not on disk yet is later in the same log, so no answer outlives what it was based on; an
// answer that only reads waits for the sync of what it may have seen. New log files are filled
// with zeros a little ahead of what is written to them, which makes syncs cheaper (logfile.go).
//
// Rejected: a goroutine that merges the callers' changes into one batch. It measures no
// faster than many small batches with shared syncs, and a change that fails would have to be
// taken out of its neighbours' batch. Rejected too, because they measure no faster under load:
// letting larger groups gather before a sync, by yielding or by a pause after a large group;
// and writing the log past the system's cache (O_DIRECT), which is slower.
//
// Nothing needs the whole backlog in memory: ready jobs stand in an index on disk, of which
// each lane keeps a bounded window (ready.go). Leases and their heartbeats are in memory as
// well as on disk, without the beats: opening counts as a beat of every lease, so that a
// restart takes no work away.
//
// What falls due - jobs that wait for a time or expire, idempotency keys that are forgotten -
// stands in an index by time, and the ends of runs that have a bound in a heap beside the leases.
// One goroutine, the timekeeper, sleeps until the first of it (due.go).
//
// What touches many jobs - telling the dependents of one that is over, or bringing them back when
// it is retried - goes in steps of bounded size, so that nobody else waits long for the mutex.
// What is left after a step is on disk as well, for the next start to finish (settle.go,
// revive.go).
//
// The first error of the log stops the store for good, because a failed sync that is tried
// again may lie: every call returns queue.ErrUnavailable, and Options.OnFailure is told.
package embedded
