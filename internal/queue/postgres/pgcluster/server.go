package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

const (
	// stopTimeout is how long a server may take to end when it is asked to.
	stopTimeout = 30 * time.Second
	// tailSize is how much of the log of a server that failed is shown, in bytes.
	tailSize = 4 << 10
)

// server is a postmaster that was started.
type server struct {
	cmd    *exec.Cmd
	done   chan struct{} // closed when it has ended
	status error         // what Wait said; read it after done
}

// launch starts a server on a data directory. The goroutine that does stays on its thread until
// the server has ended: Linux ends the server when the thread that started it ends.
func launch(s *Site, data, logPath string) (*server, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of PostgreSQL: %w", err)
	}
	defer log.Close() //nolint:errcheck // the server has its own
	p := &server{
		cmd:  s.command(context.Background(), s.bin+"/postgres", "-D", data),
		done: make(chan struct{}),
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.status = p.cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	return p, nil
}

// running tells whether the server has not ended.
func (p *server) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// stop ends the server and returns when it is gone; it is killed when it takes too long.
func (p *server) stop(mode Mode) error {
	signal := syscall.SIGINT
	if mode == Immediate {
		signal = syscall.SIGQUIT
	}
	_ = p.cmd.Process.Signal(signal) // it fails when the server has ended, which is seen next
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		_ = p.cmd.Process.Kill()
		<-p.done
		return errors.New("PostgreSQL did not stop in time and was killed")
	}
	if mode == Fast && p.status != nil {
		return fmt.Errorf("PostgreSQL did not stop in order: %w", p.status)
	}
	return nil
}

// tail is the end of a log, to be shown.
func tail(path string) string {
	log, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(log[max(0, len(log)-tailSize):])
}
