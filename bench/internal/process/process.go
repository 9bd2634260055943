// Package process runs the servers that are measured, each as a process of its own, and asks
// the system what they use.
package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/wire"
)

const (
	// startTimeout is how long a server may take until it is ready.
	startTimeout = time.Minute
	// stopTimeout is how long a server may take to end when it is asked to.
	stopTimeout = 20 * time.Second
	// pollInterval is how often a server that starts is asked whether it is ready: it cannot
	// tell on its own without logging more than is to be measured.
	pollInterval = time.Millisecond
	// attempts is how often to try another port: somebody else may take the one that was free.
	attempts = 3
	// tailSize is how much of the log of a server that failed is shown, in bytes.
	tailSize = 2 << 10
)

// Server is a running server.
type Server struct {
	// Address is where it listens, as host:port.
	Address string
	// Opened is how long it took from the start of the process until it was ready.
	Opened time.Duration

	name   string
	cmd    *exec.Cmd
	log    string
	done   chan struct{} // closed when it has ended
	status error         // what Wait said; read it after done
}

// Program says what to run. Its output goes to the file Log, which is the cheapest that is like the
// real thing.
type Program struct {
	Name string
	Path string
	Args []string
	Log  string
	// Listen makes the arguments that tell it where to listen; nil: --listen and the address.
	Listen func(address string) []string
	// Ready asks whether it is ready; nil: whether GET /readyz is answered with 200.
	Ready func(ctx context.Context, address string) bool
	// As is whom it runs as; nil: whom this program does.
	As *syscall.Credential
}

// Start starts a server and waits until it is ready. When ctx ends it is killed.
func Start(ctx context.Context, p Program) (*Server, error) {
	var failed error
	for range attempts {
		s, err := start(ctx, p)
		if err == nil || ctx.Err() != nil {
			return s, err
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

func start(ctx context.Context, p Program) (*Server, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	output, err := os.OpenFile(p.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close() //nolint:errcheck // the server has its own
	listen := []string{"--listen", address}
	if p.Listen != nil {
		listen = p.Listen(address)
	}
	s := &Server{
		Address: address,
		name:    p.Name,
		cmd:     exec.CommandContext(ctx, p.Path, append(slices.Clone(p.Args), listen...)...),
		log:     p.Log,
		done:    make(chan struct{}),
	}
	s.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "LONGSHORE_") })
	s.cmd.Stdout, s.cmd.Stderr = output, output
	s.cmd.SysProcAttr = Attributes(syscall.SIGKILL)
	s.cmd.SysProcAttr.Credential = p.As
	// With ctx its whole group ends, as with Kill.
	s.cmd.Cancel = func() error { return syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL) }
	begin := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	go func() {
		s.status = s.cmd.Wait()
		close(s.done)
	}()
	ask := p.Ready
	if ask == nil {
		ask = ready
	}
	if err := s.waitReady(ctx, ask); err != nil {
		s.Kill()
		return nil, err
	}
	s.Opened = time.Since(begin)
	return s, nil
}

// freeAddress returns an address that nobody listens on now.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}

func (s *Server) waitReady(ctx context.Context, ready func(context.Context, string) bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if ready(ctx, s.Address) {
			return nil
		}
		select {
		case <-ticker.C:
		case <-s.done:
			return fmt.Errorf("%s ended before it was ready (%w); its log:\n%s", s.name, s.status, s.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s was not ready in time: %w; its log:\n%s", s.name, ctx.Err(), s.tail())
		}
	}
}

func ready(ctx context.Context, address string) bool {
	conn, err := wire.Dial(ctx, address)
	if err != nil {
		return false
	}
	defer conn.Close()
	r, err := conn.Do(wire.Get("/readyz"))
	return err == nil && r.Status == http.StatusOK
}

// Stop asks the server to end, waits until it has, and kills it when that takes too long. It
// is an error if it did not end in order.
func (s *Server) Stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it fails when the process has ended, which is seen next
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-s.done:
	case <-timer.C:
		s.Kill()
	}
	if s.status != nil {
		return fmt.Errorf("%s ended with %w; its log:\n%s", s.name, s.status, s.tail())
	}
	return nil
}

// Kill ends the server at once, if it has not ended, and waits until it is gone. What it has started
// itself is in its group of processes, and ends too: Faktory's Redis stays otherwise.
func (s *Server) Kill() {
	select {
	case <-s.done:
		return // its id may be somebody else's by now
	default:
	}
	_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	<-s.done
}

// Yield is Yield for the process of the server.
func (s *Server) Yield() error {
	if err := Yield(s.cmd.Process.Pid); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return nil
}

// tail is the end of the server's log.
func (s *Server) tail() string {
	log, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(log[max(0, len(log)-tailSize):])
}

// Accepts tells whether somebody accepts connections at an address: it is the Ready of programs that
// do not before they are ready.
func Accepts(ctx context.Context, address string) bool {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}
