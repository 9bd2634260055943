package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/longshore-queue/longshore/client"
)

// Reasons of failed jobs.
const (
	ReasonExitCode       = "exit-code"        // details: exit_code, stderr; retryable if it is 75
	ReasonSignal         = "signal"           // details: signal, name, stderr
	ReasonOutputTooLarge = "output-too-large" // details: limit_bytes, stderr
	ReasonStartFailed    = "start-failed"     // details: message; retryable, since it is about this machine
	ReasonRunFailed      = "run-failed"       // details: message, stderr: its input or output failed
)

// exitTempFail is the exit code by which a command says that another run may succeed: EX_TEMPFAIL
// of sysexits.h.
const exitTempFail = 75

// startPause is how long a failure to start a command is kept back, one after the other.
const startPause = time.Second

// Defaults of Options.
const (
	DefaultKillGrace   = 10 * time.Second
	DefaultOutputDelay = 2 * time.Second
	// DefaultMaxOutputBytes is how long a result may be unless the server was started otherwise.
	DefaultMaxOutputBytes = 1 << 20
	DefaultStderrBytes    = 8 << 10
)

// Options are the settings of a Runner. The zero value works, and gives commands an empty
// environment.
type Options struct {
	// Env is what commands find in their environment, as "name=value", beside what Runner
	// adds.
	Env []string
	// TempDir is where the files with the results of dependencies are; "" is the system's.
	TempDir string
	// KillGrace is how long a process group may take to end after SIGTERM, before SIGKILL;
	// 0 is DefaultKillGrace, less than 0 is no time at all.
	KillGrace time.Duration
	// OutputDelay is how long a command that has exited is waited for when something that
	// it started still holds its output open; 0 is DefaultOutputDelay.
	OutputDelay time.Duration
	// MaxOutputBytes is how long the standard output may be, both as it is written and as
	// JSON; 0 is DefaultMaxOutputBytes.
	MaxOutputBytes int
	// StderrBytes is how much of the end of the standard error a failure carries; 0 is
	// DefaultStderrBytes.
	StderrBytes int
}

// Runner runs commands. Its methods are safe for concurrent use.
//
// A command finds in its environment, beside Options.Env: LONGSHORE_JOB_ID, LONGSHORE_JOB_TYPE,
// LONGSHORE_JOB_CHANNEL, LONGSHORE_ATTEMPT, and in LONGSHORE_DEPENDENCIES the path of a file that
// holds what became of the job's dependencies, as the JSON array that the lease has. The file
// is removed when the command has ended. TRACEPARENT is the job's trace context, if it has one.
//
// LONGSHORE_PROGRESS is the path of a pipe, which is open as descriptor 3 too. Each line that the
// command writes there becomes the run's progress: a percentage, and a message.
type Runner struct {
	options Options
	failing chan struct{} // holds a token while a failure to start a command is kept back
	killed  chan struct{} // closed by kill
	kill    func()
}

// New returns a Runner.
func New(options Options) *Runner {
	if options.KillGrace == 0 {
		options.KillGrace = DefaultKillGrace
	}
	if options.OutputDelay <= 0 {
		options.OutputDelay = DefaultOutputDelay
	}
	if options.MaxOutputBytes <= 0 {
		options.MaxOutputBytes = DefaultMaxOutputBytes
	}
	if options.StderrBytes <= 0 {
		options.StderrBytes = DefaultStderrBytes
	}
	r := &Runner{options: options, failing: make(chan struct{}, 1), killed: make(chan struct{})}
	r.kill = sync.OnceFunc(func() { close(r.killed) })
	return r
}

// Kill ends every command that runs, and every one that starts from now on, with SIGKILL to
// its process group. It does not block.
func (r *Runner) Kill() { r.kill() }

// Handler returns a client.Handler that runs the shell command line.
//
// The result is the command's standard output: as it is if that is JSON in UTF-8, else as a
// string, in which bytes that are not UTF-8 are replaced by U+FFFD. The error is a
// *client.Failure, or the context's cause if the context ended the command.
func (r *Runner) Handler(line string) client.Handler {
	return func(ctx context.Context, run *client.Run) (any, error) { return r.run(ctx, line, run) }
}

func (r *Runner) run(ctx context.Context, line string, run *client.Run) (any, error) {
	dependencies, err := r.writeDependencies(run.Dependencies)
	if err != nil {
		return nil, r.notStarted(ctx, err)
	}
	defer dependencies.remove()

	pipe, err := newProgress()
	if err != nil {
		return nil, r.notStarted(ctx, err)
	}

	stdout := newBoundedBuffer(r.options.MaxOutputBytes)
	stderr := &tail{most: r.options.StderrBytes}
	// The context must not end the command by itself: that would be one process, and rudely.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "sh", "-c", line)
	cmd.Env = append(slices.Clone(r.options.Env),
		"LONGSHORE_JOB_ID="+run.JobID.String(),
		"LONGSHORE_JOB_TYPE="+run.Type,
		"LONGSHORE_JOB_CHANNEL="+run.Channel,
		"LONGSHORE_ATTEMPT="+strconv.FormatInt(run.Attempt, 10),
		"LONGSHORE_DEPENDENCIES="+dependencies.name(),
		"LONGSHORE_PROGRESS="+progressPath,
	)
	if run.TraceParent != "" {
		cmd.Env = append(cmd.Env, "TRACEPARENT="+run.TraceParent)
	}
	cmd.Stdin = bytes.NewReader(run.Args) // exec forgives a command that does not read it
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.ExtraFiles = []*os.File{pipe.writer} // the first is descriptor 3
	cmd.WaitDelay = r.options.OutputDelay
	cmd.SysProcAttr = groupAttributes()

	process, err := start(cmd)
	if err != nil {
		pipe.abandon()
		return nil, r.notStarted(ctx, err)
	}
	pipe.follow(run)
	defer pipe.end()
	select {
	case end := <-process.waited:
		err = end.err
		process.signal(syscall.SIGKILL) // what it left behind
	case <-ctx.Done():
		r.end(process)
		return nil, fmt.Errorf("run a command: %w", context.Cause(ctx))
	case <-r.killed:
		r.end(process)
		return nil, errors.New("run a command: killed")
	case <-stdout.full:
		r.end(process)
		return nil, r.tooLarge(stderr)
	}
	return r.outcome(err, stdout, stderr)
}

// outcome makes a result or a failure of how the command ended by itself.
func (r *Runner) outcome(err error, stdout *boundedBuffer, stderr *tail) (any, error) {
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // the latter: it exited with 0
	case errors.As(err, &exit):
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return nil, failure(ReasonSignal,
				"signal", int(status.Signal()), "name", status.Signal().String(), "stderr", stderr.String())
		}
		f := failure(ReasonExitCode, "exit_code", exit.ExitCode(), "stderr", stderr.String())
		f.Retryable = exit.ExitCode() == exitTempFail
		return nil, f
	default:
		return nil, failure(ReasonRunFailed, "message", err.Error(), "stderr", stderr.String())
	}
	result, err := stdout.result()
	if err != nil {
		return nil, failure(ReasonRunFailed, "message", err.Error(), "stderr", stderr.String())
	}
	if stdout.overflowed() || len(result) > r.options.MaxOutputBytes {
		return nil, r.tooLarge(stderr)
	}
	return result, nil
}

// notStarted is the failure of a command that could not be started, for what this machine lacks:
// memory, processes, descriptors or disk. Another one may have it, and gets the time to take the next job.
func (r *Runner) notStarted(ctx context.Context, err error) error {
	select {
	case r.failing <- struct{}{}:
		pause := time.NewTimer(startPause)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-ctx.Done():
		case <-r.killed:
		}
		<-r.failing
	case <-ctx.Done():
	case <-r.killed:
	}
	f := failure(ReasonStartFailed, "message", err.Error())
	f.Retryable = true
	return f
}

func (r *Runner) tooLarge(stderr *tail) error {
	return failure(ReasonOutputTooLarge, "limit_bytes", r.options.MaxOutputBytes, "stderr", stderr.String())
}

// failure makes a *client.Failure; keysAndValues are the members of its details.
func failure(reason string, keysAndValues ...any) *client.Failure {
	details := make(map[string]any, len(keysAndValues)/2)
	for i := 0; i+1 < len(keysAndValues); i += 2 {
		details[fmt.Sprint(keysAndValues[i])] = keysAndValues[i+1]
	}
	return &client.Failure{Reason: reason, Details: details}
}

// process is a command that was started.
type process struct {
	group  int      // id of its process group, which is the shell's id
	waited chan end // receives once, when the shell has exited and its output is read
}

// end is how a command ended: as exec.Cmd.Wait returns it.
type end struct{ err error }

// start starts the command. The goroutine that does stays on its thread for as long as the
// command runs: Linux ends the command when the thread that started it ends.
func start(cmd *exec.Cmd) (*process, error) {
	started := make(chan error)
	p := &process{waited: make(chan end, 1)}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.waited <- end{err: cmd.Wait()}
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	p.group = cmd.Process.Pid
	return p, nil
}

// end ends the process group and returns when it is gone: SIGTERM, and after the grace, or
// on Kill, SIGKILL.
func (r *Runner) end(p *process) {
	select {
	case <-r.killed: // nothing polite about that
	default:
		p.signal(syscall.SIGTERM)
	}
	grace := time.NewTimer(r.options.KillGrace)
	defer grace.Stop()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	exited := false
	for {
		select {
		case <-p.waited:
			exited = true
			continue
		case <-look.C:
			// The shell is often the first to go; what it started has the same grace.
			if exited && !p.alive() {
				return
			}
			continue
		case <-grace.C:
		case <-r.killed:
		}
		p.signal(syscall.SIGKILL)
		if !exited {
			<-p.waited
		}
		return
	}
}
