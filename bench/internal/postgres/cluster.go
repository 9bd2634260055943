package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/process"
)

const (
	// port is a part of the socket's name.
	port = "5432"
	// superuser owns everything. Whoever reaches the socket may be it.
	superuser = "longshore"
	// startTimeout is how long the cluster may take until it answers.
	startTimeout = time.Minute
	// stopTimeout is how long it may take to write what it has in memory when it is stopped.
	stopTimeout = time.Minute
	// startPoll is how often it is asked whether it answers.
	startPoll = 20 * time.Millisecond
	// longestSocket is how long the path of a socket may be, in bytes, on every system.
	longestSocket = 103
	// tailSize is how much of its log is shown when it failed, in bytes.
	tailSize = 2 << 10
)

// Options say how to run a cluster.
type Options struct {
	// Programs is the directory of initdb and postgres. Find looks for it.
	Programs string
	// User is whom it runs as if this program is root: postgres, or nobody, unless given.
	User string
}

// Cluster is a running PostgreSQL.
type Cluster struct {
	directory string
	log       string
	cmd       *exec.Cmd
	done      chan struct{} // closed when it has ended
	status    error         // what Wait said; read it after done
}

// Start makes a cluster in a directory that must not be there yet, and returns when it answers.
// It runs until Close, whatever happens to ctx, since the servers that use it end first; and it
// ends with this program if that dies.
func Start(ctx context.Context, directory string, o Options) (*Cluster, error) {
	as, err := credential(o.User)
	if err != nil {
		return nil, err
	}
	socket := filepath.Join(directory, ".s.PGSQL."+port)
	if len(socket) > longestSocket {
		return nil, fmt.Errorf("the path of PostgreSQL's socket is longer than %d bytes: %s", longestSocket, socket)
	}
	if err := makeDirectory(directory, as); err != nil {
		return nil, err
	}
	c := &Cluster{directory: directory, log: filepath.Join(directory, "log"), done: make(chan struct{})}
	if err := c.start(ctx, o.Programs, as); err != nil {
		return nil, errors.Join(err, os.RemoveAll(directory))
	}
	return c, nil
}

// makeDirectory makes a directory that belongs to whom PostgreSQL runs as, and is closed to
// everybody else. The one above is opened just enough to be passed.
func makeDirectory(directory string, as *syscall.Credential) error {
	if err := os.Mkdir(directory, 0o700); err != nil {
		return err
	}
	if as == nil {
		return nil
	}
	if err := os.Chmod(filepath.Dir(directory), 0o711); err != nil {
		return err
	}
	return os.Chown(directory, int(as.Uid), int(as.Gid))
}

func (c *Cluster) start(ctx context.Context, programs string, as *syscall.Credential) error {
	data := filepath.Join(c.directory, "data")
	// The collation of C compares bytes, on every machine alike.
	initdb := exec.CommandContext(ctx, filepath.Join(programs, "initdb"), "--pgdata", data, "--username", superuser,
		"--auth", "trust", "--encoding", "UTF8", "--locale", "C")
	prepare(initdb, as)
	if message, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("make a PostgreSQL cluster: %w\n%s", err, message)
	}
	output, err := os.OpenFile(c.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer output.Close() //nolint:errcheck // the server has its own
	arguments := []string{"-D", data}
	for _, s := range settings(c.directory) {
		arguments = append(arguments, "-c", s.name+"="+s.value)
	}
	// It does not end with ctx but with Close.
	c.cmd = exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(programs, "postgres"), arguments...)
	prepare(c.cmd, as)
	c.cmd.Stdout, c.cmd.Stderr = output, output
	if err := c.cmd.Start(); err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	go func() {
		c.status = c.cmd.Wait()
		close(c.done)
	}()
	if err := c.waitReady(ctx); err != nil {
		return errors.Join(err, c.stop())
	}
	return nil
}

// prepare makes a program run as somebody, without what the environment says to PostgreSQL's
// programs. One that is orphaned ends at once, and its own processes with it.
func prepare(cmd *exec.Cmd, as *syscall.Credential) {
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PG") })
	cmd.Dir = "/"
	cmd.SysProcAttr = process.Attributes(syscall.SIGQUIT)
	cmd.SysProcAttr.Credential = as
}

func (c *Cluster) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ticker := time.NewTicker(startPoll)
	defer ticker.Stop()
	for {
		err := c.administer(ctx, func(administration) error { return nil })
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-c.done:
			return fmt.Errorf("PostgreSQL ended before it answered (%w); its log:\n%s", c.status, c.tail())
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL did not answer in time: %w; its log:\n%s", err, c.tail())
		}
	}
}

// Processor returns the time that all its processes have spent on processors.
// process.ErrUnknown.
func (c *Cluster) Processor() (time.Duration, error) { return process.Family(c.cmd.Process.Pid) }

// Close ends the cluster, whoever uses it, and removes its files.
func (c *Cluster) Close() error { return errors.Join(c.stop(), os.RemoveAll(c.directory)) }

// stop disconnects everybody and ends it; the signals are PostgreSQL's own language.
func (c *Cluster) stop() error {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		_ = c.cmd.Process.Signal(s) // it fails when the process has ended, which is seen next
		timer := time.NewTimer(stopTimeout)
		select {
		case <-c.done:
			timer.Stop()
			if c.status != nil {
				return fmt.Errorf("PostgreSQL ended with %w; its log:\n%s", c.status, c.tail())
			}
			return nil
		case <-timer.C:
		}
	}
	return errors.Join(errors.New("PostgreSQL did not end in time"), c.cmd.Process.Kill())
}

// tail is the end of its log.
func (c *Cluster) tail() []byte {
	log, err := os.ReadFile(c.log)
	if err != nil {
		return []byte(err.Error())
	}
	return bytes.TrimSpace(log[max(0, len(log)-tailSize):])
}
