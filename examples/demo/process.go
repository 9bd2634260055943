package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// tailLines is how much of a program's output is kept, to be shown when it fails.
const tailLines = 20

// process is a program that runs in a process group of its own, so that a Ctrl-C reaches only
// the demo, and the program goes down together with what it started.
type process struct {
	name   string
	cmd    *exec.Cmd
	output *output
	done   chan struct{} // closed when it has ended and its output was read
	status error         // what Wait said; read it after done

	mu       sync.Mutex // guards expected
	expected bool       // that it ends
}

// program says what to start.
type program struct {
	name  string
	path  string
	args  []string
	dir   string            // "" is the demo's own
	env   []string          // on top of the demo's own
	stdin io.Reader         // nil is empty
	line  func(line []byte) // is given each line of output, on the process's own goroutine; may be nil
}

// start starts a program. When it ends before kill or stop were called, fail is told why.
func start(ctx context.Context, p program, fail func(error)) (*process, error) {
	// Not ended with ctx: what was started is ended in order, by stop.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), p.path, p.args...)
	out := &output{line: p.line}
	cmd.Dir = p.dir
	cmd.Env = append(ownEnvironment(), p.env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.stdin, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second // for what it leaves behind, holding its output open
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	started := &process{name: p.name, cmd: cmd, output: out, done: make(chan struct{})}
	go func() {
		started.status = cmd.Wait()
		close(started.done)
		if !started.isExpected() {
			fail(fmt.Errorf("%s ended by itself (%s); the end of its output:\n%s",
				p.name, cmd.ProcessState, out.tail()))
		}
	}()
	return started, nil
}

// ownEnvironment is the demo's own environment without the settings of a server or a worker
// that somebody may have there.
func ownEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "LONGSHORE_")
	})
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) isExpected() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.expected
}

func (p *process) expect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expected = true
}

// kill ends the program and what is in its group with SIGKILL, and waits until it is gone.
func (p *process) kill() {
	p.expect()
	killGroup(p.pid(), syscall.SIGKILL)
	<-p.done
}

// stop asks the program to end, and kills it when it has not after the time given.
func (p *process) stop(grace time.Duration) {
	p.expect()
	killGroup(p.pid(), syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(grace):
	}
	p.kill()
}

// killGroup signals every process of a group. That there is none any more is no error.
func killGroup(group int, signal syscall.Signal) {
	if group <= 1 {
		return // 0 is the demo's own group, and -1 is everything
	}
	if err := syscall.Kill(-group, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		_ = syscall.Kill(group, signal)
	}
}

// output splits what a program writes into lines and keeps the last ones.
type output struct {
	line func([]byte)

	mu      sync.Mutex // guards partial, last
	partial []byte
	last    []string
}

// Write never fails: a program must not die of what its reader thinks.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.partial = append(o.partial, b...)
	for {
		line, rest, found := bytes.Cut(o.partial, []byte{'\n'})
		if !found {
			return len(b), nil
		}
		if o.last = append(o.last, string(line)); len(o.last) > tailLines {
			o.last = o.last[1:]
		}
		if o.line != nil {
			o.line(line)
		}
		o.partial = rest
	}
}

func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(append(o.last, string(o.partial)), "\n")
}
