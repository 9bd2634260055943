// Package client talks to a Longshore server: it creates jobs, waits for them, and runs them.
//
// The types and one method for each call of the contract are generated (client.gen.go). What
// is written by hand stands on top of them:
//
//   - New makes a Client: its errors are *Problem and never show a lease's token, and its
//     answers are bounded. Enqueue and EnqueueBatch create jobs, once for each call however
//     often the network fails; Job, Wait, List, Update, Cancel and Retry look after them. API
//     has the generated calls.
//   - Worker is what every worker needs: it asks for jobs, keeps their leases alive, hands
//     them to a Handler, tells of its progress, reports what became of them, and drains when it
//     is told to stop.
//
// Fields of a NewJob that may be left out are pointers: new(5) makes one.
//
// A job runs at least once. A Worker that the server tells that a lease is lost ends the
// handler's context and reports nothing. One that hears nothing works on and reports when the
// server is back, because a restart of the server ends no lease; if it was the network, the
// job may be running elsewhere meanwhile. Run.ValidUntil tells a handler when that begins to
// be possible, and Run.Attempt fences side effects outside of the queue.
//
// The package imports nothing of the server's, and does not log unless it is given a logger.
package client
