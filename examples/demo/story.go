package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/longshore-queue/longshore/client"
)

// lingerSeconds is how long the first job takes at most. It is killed long before: the demo
// itself is given up earlier.
const lingerSeconds = 600

//go:embed commands
var commands embed.FS

// story is a run of the demo.
type story struct {
	out   io.Writer
	began time.Time
	cast  *cast
	jobs  *jobs

	sources []source
}

// play runs the demo and cleans up after it. It returns nil when all agrees.
func play(ctx context.Context, s settings, out io.Writer) (err error) {
	dir, err := filepath.Abs(s.dir)
	if err != nil {
		return err
	}
	sources, beyond, err := findSources(dir)
	if err != nil {
		return err
	}
	if len(sources) == 0 {
		return fmt.Errorf("there are no source files in %s to count", dir)
	}
	for _, binary := range []*string{&s.server, &s.worker} {
		if *binary, err = filepath.Abs(*binary); err != nil {
			return err
		}
	}
	temp, err := os.MkdirTemp("", "longshore-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	if err := unpack(temp); err != nil {
		return err
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	t := &story{
		out: out, began: time.Now(), sources: sources,
		cast: &cast{settings: s, temp: temp, dir: dir, fail: cancel, workers: map[string]*process{}},
	}
	defer func() { err = errors.Join(err, t.cast.leave()) }()
	t.tell("%s in %s, a job for each", plural(len(sources), "source file"), dir)
	if beyond > 0 {
		t.tell("%s more are left out: the demo counts %d, and what fits into one result of 1 MiB",
			plural(beyond, "file"), maxSources)
	}
	if err := t.acts(ctx); err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			return fmt.Errorf("%w; %w", cause, err)
		}
		return err
	}
	return nil
}

// acts are the story in order.
func (t *story) acts(ctx context.Context) error {
	for _, act := range []func(context.Context) error{t.begin, t.loseServer, t.loseWorker, t.end} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	return nil
}

// begin starts everybody and submits the jobs.
func (t *story) begin(ctx context.Context) error {
	if err := t.cast.prepare(); err != nil {
		return err
	}
	if t.cast.database != nil {
		t.tell("PostgreSQL %d started, with an empty database", t.cast.database.cluster.Version())
	}
	for _, s := range t.cast.servers {
		if err := t.cast.startServer(ctx, s); err != nil {
			return err
		}
		t.tell("%s started: process %d on http://%s, its store %s",
			strings.TrimPrefix(s.name, "the "), s.process.pid(), s.address, t.cast.store.name)
	}
	if err := t.cast.startWorkers(ctx); err != nil {
		return err
	}
	t.tell("%d workers started, each runs up to %d commands at once", workers, concurrency)
	c, err := newClient(t.cast.servers[0].address)
	if err != nil {
		return err
	}
	if t.jobs, err = submit(ctx, c, t.sources, lingerSeconds); err != nil {
		return err
	}
	t.tell("submitted in one call: %s, and one that needs them all and merges", plural(len(t.sources), "counting job"))
	return nil
}

// loseWorker kills a worker in the middle of a job, and waits until another one has done it.
func (t *story) loseWorker(ctx context.Context) error {
	first, path := t.jobs.ids[0], readable(t.sources[0].path)
	victim, retries, err := t.chooseVictim(ctx)
	if err != nil {
		return fmt.Errorf("wait until somebody is in the middle of %s: %w", path, err)
	}
	if err := t.cast.lingerNoMore(); err != nil {
		return err
	}
	t.cast.killWorker(victim)
	killed := time.Now()
	t.tell("KILL -9 of %s, in the middle of %s; its lease ends after %s of silence", victim.worker, path, heartbeatTimeout)

	waited := make(chan error, 1)
	go func() { waited <- t.jobs.await(ctx) }()
	stop := t.showProgress(ctx)
	defer stop()

	var job *client.Snapshot
	err = poll(ctx, func() (bool, error) {
		job, err = t.jobs.client.Job(ctx, first)
		return err == nil && job.Retries > retries, err
	})
	if err != nil {
		return fmt.Errorf("wait until the job of %s is requeued: %w", path, err)
	}
	t.tell("requeued %.1f s later: %s is counted by somebody else", time.Since(killed).Seconds(), path)
	if job, err = t.jobs.client.Wait(ctx, first); err != nil {
		return err
	}
	if err := t.rescued(job, victim); err != nil {
		return err
	}
	return <-waited
}

// chooseVictim waits until the server and a command agree on who is running the lingering job
// now, and returns that, and how often the job was requeued before. On a very busy machine it
// may have changed hands already.
func (t *story) chooseVictim(ctx context.Context) (victim busy, retries int64, err error) {
	err = poll(ctx, func() (bool, error) {
		job, err := t.jobs.client.Job(ctx, t.jobs.ids[0])
		switch {
		case err != nil:
			return false, err
		case job.State.Over():
			return false, fmt.Errorf("it is %s at attempt %d", job.State, job.Attempt)
		}
		var found bool
		victim, found = t.cast.lingering()
		retries = job.Retries
		return found && job.State == client.Running && job.Attempt == victim.attempt, nil
	})
	return victim, retries, err
}

// rescued checks that the job of the killed worker was done by another one.
func (t *story) rescued(job *client.Snapshot, victim busy) error {
	if job.Attempt <= victim.attempt {
		return fmt.Errorf("the job of the killed worker is %s at attempt %d, which was its own", job.State, job.Attempt)
	}
	if job.State == client.Failed {
		t.tell("attempt %d of it failed: the file cannot be read", job.Attempt)
		return nil
	}
	by, err := countedBy(job)
	if err != nil {
		return err
	}
	if by == victim.worker {
		return fmt.Errorf("the job of %s was done by %s, which is dead", victim.worker, by)
	}
	t.tell("done by %s, at attempt %d", by, job.Attempt)
	return nil
}

// showProgress tells every two seconds how far the counting is, while that changes, until the
// function that it returns is called.
func (t *story) showProgress(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(2 * time.Second)
		defer ticker.Stop()
		for last := int64(0); ; {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
			if over := t.jobs.over.Load(); over != last {
				t.tell("counted: %d of %d", over, len(t.sources))
				last = over
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// end waits for the merged table, prints it, and compares it with what wc says.
func (t *story) end(ctx context.Context) error {
	merged, err := t.jobs.client.Wait(ctx, t.jobs.merge)
	if err != nil {
		return err
	}
	if merged.State != client.Finished {
		return fmt.Errorf("the merging job %s%s", merged.State, reason(merged.Job))
	}
	merging, err := parseTable(merged.Result)
	if err != nil {
		return err
	}
	t.tell("merged:")
	paths := make(map[string]string, len(t.sources))
	for _, s := range t.sources {
		paths[s.name] = s.path
	}
	t.write("")
	merging.print(t.write, func(name string) string { return paths[name] })
	t.write("")

	finished, err := t.jobs.look(ctx)
	if err != nil {
		return err
	}
	said, err := reference(ctx, t.cast.dir, t.sources)
	if err != nil {
		return err
	}
	if complaints := compare(merging, said, t.sources, finished[:len(t.sources)]); len(complaints) > 0 {
		for _, complaint := range complaints[:min(len(complaints), shown)] {
			t.write("  %s", complaint)
		}
		if n := changed(t.cast.dir, t.sources, t.began); n > 0 {
			t.write("  %s changed while the demo ran", plural(n, "file"))
		}
		return fmt.Errorf("the table and wc differ in %s", plural(len(complaints), "place"))
	}
	if n := len(t.sources) - len(said); n > 0 {
		t.tell("%s could not be read, neither by a job nor by wc", plural(n, "file"))
	}
	again := 0
	for i := range finished {
		if finished[i].Attempt > 1 {
			again++
		}
	}
	t.tell("wc says the same of %s; %d of %d jobs needed a second attempt, none was lost",
		plural(len(said), "file"), again, len(finished))
	if t.cast.database == nil {
		return nil
	}
	verdict, err := t.cast.audit(ctx)
	if err != nil {
		return err
	}
	t.tell("audit of the database: %s", verdict)
	return nil
}

// unpack writes the commands of the workers into the temporary directory.
func unpack(temp string) error {
	for _, name := range []string{"count.sh", "merge.sh"} {
		script, err := commands.ReadFile("commands/" + name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(temp, name), script, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// tell writes what happened, and when.
func (t *story) tell(format string, args ...any) {
	t.write("%5.1f s  %s", time.Since(t.began).Seconds(), fmt.Sprintf(format, args...))
}

// write writes a line. That nobody reads it is noticed by the signal that comes with it.
func (t *story) write(format string, args ...any) {
	_, _ = fmt.Fprintf(t.out, format+"\n", args...)
}
