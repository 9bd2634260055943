// Package river puts River (github.com/riverqueue/river) through what the server is put through:
// full cycles of jobs of the same size, and the time from adding a job to its being worked. River
// is a library, so it runs in this program, which adds the jobs and works them, as an application
// of River's would.
//
// Its settings are the best that were found for each purpose; see settings.go.
package river
