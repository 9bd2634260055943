package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// heartbeatTimeout and reapInterval are far shorter than a server's own, so that a dead
	// worker is noticed while somebody watches. A worker that is alive beats three times in
	// it, however busy the machine is.
	heartbeatTimeout = 10 * time.Second
	reapInterval     = 500 * time.Millisecond
	// maxRetries leaves room for leases that a very busy machine loses all the same.
	maxRetries = 20

	startLimit  = time.Minute     // for a server to listen; much more than it needs
	workerGrace = 3 * time.Second // for a worker to end when it is told to
	serverGrace = 5 * time.Second // for a server to end when it is told to

	workers     = 3
	concurrency = 2 // commands at once of each worker
)

// cast is who takes part: servers, workers, and the temporary directory that is all they know.
type cast struct {
	settings settings
	temp     string // absolute
	dir      string // absolute
	fail     func(error)

	store    store
	servers  []*server
	database *database           // nil if there is none
	workers  map[string]*process // by name
}

// startWorkers starts workers that run the two shell scripts, each at a server: one after the
// other if there are several.
func (c *cast) startWorkers(ctx context.Context) error {
	for n := 1; n <= workers; n++ {
		name := fmt.Sprintf("worker-%d", n)
		worker, err := start(ctx, program{
			name: name,
			path: c.settings.worker,
			args: []string{
				"--server", "http://" + c.servers[(n-1)%len(c.servers)].address,
				"--name", name,
				"--concurrency", strconv.Itoa(concurrency),
				"--drain-timeout", "1s",
				"--run", `count=exec sh "$DEMO_TMP/count.sh"`,
				"--run", `merge=exec sh "$DEMO_TMP/merge.sh"`,
			},
			dir: c.dir, // paths are relative to it
			// TMPDIR, because a worker that is killed leaves its temporary files behind.
			env: []string{"TMPDIR=" + c.temp, "DEMO_TMP=" + c.temp, "DEMO_WORKER=" + name},
		}, c.fail)
		if err != nil {
			return err
		}
		c.workers[name] = worker
	}
	return nil
}

// busy says which worker is running the job that lingers, which process its command is, and
// which attempt at the job it is.
type busy struct {
	worker  string
	pid     int
	attempt int64
}

// lingering returns what the latest command of the lingering job wrote down, once it runs.
func (c *cast) lingering() (busy, bool) {
	text, err := os.ReadFile(c.mark())
	if err != nil {
		return busy{}, false
	}
	var b busy
	if _, err := fmt.Sscan(strings.TrimSpace(string(text)), &b.worker, &b.pid, &b.attempt); err != nil {
		return busy{}, false
	}
	return b, true
}

func (c *cast) mark() string { return filepath.Join(c.temp, "lingering") }

// lingerNoMore lets whoever gets the lingering job from now on do it at once.
func (c *cast) lingerNoMore() error {
	return os.WriteFile(filepath.Join(c.temp, "lingered"), nil, 0o600)
}

// killWorker kills a worker and the command that it runs, as the end of their machine would.
func (c *cast) killWorker(b busy) {
	if worker := c.workers[b.worker]; worker != nil {
		worker.kill()
		delete(c.workers, b.worker)
	}
	killCommand(b)
	_ = os.Remove(c.mark()) // its process id means nothing from now on
}

// killCommand kills the process group of a worker's command: the worker's own is another.
func killCommand(b busy) {
	if group, err := syscall.Getpgid(b.pid); err == nil && group != syscall.Getpgrp() {
		killGroup(group, syscall.SIGKILL)
	}
}

// leave ends everybody who is still there, the database last.
func (c *cast) leave() error {
	if b, ok := c.lingering(); ok {
		killCommand(b)
	}
	ended := make(chan struct{})
	for _, worker := range c.workers {
		go func() {
			worker.stop(workerGrace)
			ended <- struct{}{}
		}()
	}
	for range c.workers {
		<-ended
	}
	for _, s := range c.servers {
		if s.process != nil {
			s.process.stop(serverGrace)
		}
	}
	if c.database == nil {
		return nil
	}
	return c.database.close()
}
