// Package postgres is the queue engine over PostgreSQL, for many servers of one queue.
//
// Every job has one row, which moves from table to table with its state: ready, leases, waiting,
// ended. Rows there are inserted and deleted, hardly ever updated, so that what is dead of them is
// dead for good, and the tables that are hot stay small. Beside them stands what was given at
// Enqueue, in jobs.
//
// There are two ways to change a job. The common ones - to enqueue a job that depends on nothing,
// to claim one, to finish one that nobody depends on, a heartbeat - go in rounds (rounds.go): a
// statement of each kind for all callers of this server that gathered while the round before was
// under way, or a second round beside it where there is enough for one. They skip every row that somebody else has locked, and never wait for one. All else is a change
// (change.go): one transaction that holds the database's one lock of its kind, reads the jobs in
// question, asks the rules of package queue, and writes what they say. So there is one of those at
// a time, it waits for statements that wait for nobody, and no two transactions can wait for each
// other in a circle. Rejected: locks on the rows of a graph, in an order of their own, because what
// has to be locked is only known after some of it was read.
//
// What is settled when a job is over, and what comes back with a retry, happens in the change that
// makes it so, at once for a whole graph: there is nothing to be resumed after a crash.
//
// Servers learn what the others did from the table of changes (tail.go), of which a notification
// tells that there is something new; where notifications get lost, a poll finds it. Each server
// knows from it which lanes may have ready jobs and where they begin (front.go), so that a claim
// looks at nothing that was consumed, and an idle worker asks the database nothing.
//
// Only the database's clock counts: longshore.now() in SQL. A statement whose outcome is unknown,
// because its connection broke, is ErrUnavailable; leases that it may have granted are released
// as soon as the database can be reached.
package postgres
