// The demo shows Longshore at work, and checks that it did it right: one job for each source
// file of a directory counts its lines and words, one more merges the results, all created in
// one call, while a worker and the server are killed with SIGKILL. `make demo` runs it.
//
// It knows the server and the worker only as programs, and the queue only through the public
// client. The counting and merging is done by the shell scripts under commands/, with wc, sed,
// sort and awk.
//
//	main.go       flags, signals, exit codes
//	story.go      what happens, in order
//	sources.go    which files there are, and how their names travel
//	process.go    programs: start, kill, stop
//	cast.go       the server and the workers
//	jobs.go       submit, look, wait
//	table.go      the merged table
//	reference.go  what wc itself says
//	check.go      whether both agree
package main
