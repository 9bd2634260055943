// Package command runs jobs as shell commands: it is the Handler of the worker binary.
//
// A command is run by `sh -c` in a process group of its own. It reads the job's args as JSON
// on its standard input, finds out about the job in its environment (see Runner), and writes
// the job's result to its standard output. A non-zero exit fails the job; 75 says that another
// run may succeed.
//
// A run's context ends the whole group, politely first. What a command leaves running in its
// group when it exits is killed, so that one job cannot disturb the next; a process that makes
// a session of its own is let go. A worker that dies takes its commands with it on Linux, as
// far as the shell itself goes; elsewhere, and for what the shell started, they may go on.
//
// The package does not talk to the server, read flags or handle signals, and the lease's token
// never reaches a command. It works on Unix only.
package command
