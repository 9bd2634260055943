// The demo shows Longshore at work, and checks that it did it right: one job for each source
// file of a directory counts its lines and words, one more merges the results, all created in
// one call, while a worker and the server are killed with SIGKILL. `make demo` runs it. With `make demo STORE=postgres` there
// are two servers on one PostgreSQL, which it starts and removes: the one that is killed is not
// waited for, because the other one knows the same jobs.
//
// It knows the server and the worker only as programs, and the queue only through the public
// client. The counting and merging is done by the shell scripts under commands/, with wc, sed,
// sort and awk.
//
//	main.go       flags, signals, exit codes
//	story.go      what happens, in order
//	outage.go     what happens when a server is killed
//	sources.go    which files there are, and how their names travel
//	process.go    programs: start, kill, stop
//	cast.go       the workers
//	server.go     the servers, and their store
//	database.go   the PostgreSQL that they may have it in
//	jobs.go       submit, look, wait
//	table.go      the merged table
//	reference.go  what wc itself says
//	check.go      whether both agree
package main
