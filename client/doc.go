// Package client talks to a Longshore server: it creates jobs, waits for them, and runs them.
//
// The types and one method for each call of the contract are generated (client.gen.go). What
// is written by hand stands on top of them:
//
//   - New makes a client whose errors are *Problem, whose answers are bounded, and whose
//     errors never show a lease's token.
//   - Enqueue and Wait are what most producers need.
//   - Worker is what every worker needs: it asks for jobs, keeps their leases alive, hands
//     them to a Handler, reports what became of them, and drains when it is told to stop.
//
// A job runs at least once. A Worker that lost a lease ends the handler's context and reports
// nothing, but a handler that ignores its context may still be running while the job runs
// elsewhere: use Run.Attempt to fence side effects outside of the queue.
//
// The package imports nothing of the server's, and does not log unless it is given a logger.
package client
