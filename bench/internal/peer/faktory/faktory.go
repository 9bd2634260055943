// Package faktory speaks to Faktory (https://contribsys.com/faktory), and says how to start it. A
// lane is a queue. Jobs are added in bulk where there are many (PUSHB); FETCH and ACK are about one
// job, so a batch is as many of them, sent in one go.
//
// Faktory is under the AGPL: its server is built from its Go module and run as a program of its own,
// and nothing of it is part of this one.
package faktory

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
	"github.com/longshore-queue/longshore/bench/internal/peer"
	"github.com/longshore-queue/longshore/bench/internal/process"
)

// Program is Faktory's server, to be started, with its files in a directory that whoever it runs as may
// write to. It starts a Redis of its own, which it looks for in PATH and tells when to take snapshots.
func Program(path, directory string) process.Program {
	return process.Program{
		Name: "Faktory", Path: path,
		// The web server is off: it would take a port.
		Args:   []string{"-d", directory, "-l", "error", "-e", "development", "-w", ":0"},
		Listen: func(address string) []string { return []string{"-b", address} },
		Ready:  process.Accepts,
	}
}

// Opener opens sessions at an address.
func Opener(address string) peer.Opener {
	return func(ctx context.Context, lane string, caller int) (peer.Session, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		s := &session{conn: conn, in: bufio.NewReaderSize(conn, 64<<10), lane: lane, name: lane + "-" + strconv.Itoa(caller)}
		s.tail = fmt.Sprintf(`","jobtype":%q,"queue":%q,"reserve_for":600,"args":[%s]}`,
			jobs.Type, lane, jobs.New(fmt.Sprint("faktory ", caller)).Args())
		if err := s.greet(); err != nil {
			s.Close()
			return nil, err
		}
		return s, nil
	}
}

type session struct {
	conn    net.Conn
	in      *bufio.Reader
	out     bytes.Buffer
	lane    string
	name    string
	tail    string // of a job, after its id
	added   int
	fetched []string // ids
	once    sync.Once
}

func (s *session) greet() error {
	line, err := s.in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("+HI ")) {
		return fmt.Errorf("it answered %q where a greeting was expected", line)
	}
	if _, err := fmt.Fprintf(s.conn, "HELLO {\"wid\":%q,\"pid\":1,\"labels\":[],\"v\":2}\r\n", "worker-"+s.name); err != nil {
		return err
	}
	return s.expectOK()
}

func (s *session) expectOK() error {
	line, err := s.in.ReadSlice('\n')
	if err == nil && string(line) != "+OK\r\n" {
		err = fmt.Errorf("it answered %q where OK was expected", line)
	}
	return err
}

// bulk reads a bulk string, which is nil for none.
func (s *session) bulk() ([]byte, error) {
	line, err := s.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	if line[0] != '$' {
		return nil, fmt.Errorf("it answered %q where a bulk string was expected", line)
	}
	size, err := strconv.Atoi(strings.TrimSpace(string(line[1:])))
	if err != nil {
		return nil, fmt.Errorf("the size of an answer: %w", err)
	}
	if size < 0 {
		return nil, nil
	}
	text := make([]byte, size+len("\r\n"))
	_, err = io.ReadFull(s.in, text)
	return text[:size], err
}

// job writes a job whose id no other one has.
func (s *session) job() {
	s.added++
	fmt.Fprintf(&s.out, `{"jid":"%s-%010d%s`, s.name, s.added, s.tail)
}

func (s *session) send() error {
	_, err := s.out.WriteTo(s.conn)
	s.out.Reset()
	return err
}

// Add pushes jobs.
func (s *session) Add(n int) error {
	if n == 1 {
		s.out.WriteString("PUSH ")
		s.job()
		s.out.WriteString("\r\n")
		if err := s.send(); err != nil {
			return err
		}
		return s.expectOK()
	}
	s.out.WriteString("PUSHB [")
	for i := range n {
		if i > 0 {
			s.out.WriteByte(',')
		}
		s.job()
	}
	s.out.WriteString("]\r\n")
	if err := s.send(); err != nil {
		return err
	}
	refused, err := s.bulk()
	if err == nil && string(refused) != "{}" {
		err = fmt.Errorf("jobs were refused: %s", refused)
	}
	return err
}

// Fetch fetches jobs. Faktory answers that there is none after two seconds.
func (s *session) Fetch(n int) error {
	s.fetched = s.fetched[:0]
	for len(s.fetched) < n {
		asked := n - len(s.fetched)
		for range asked {
			s.out.WriteString("FETCH " + s.lane + "\r\n")
		}
		if err := s.send(); err != nil {
			return err
		}
		for range asked {
			text, err := s.bulk()
			if err != nil {
				return err
			}
			if text == nil {
				continue
			}
			var job struct{ JID string }
			if err := json.Unmarshal(text, &job); err != nil {
				return fmt.Errorf("a job: %w", err)
			}
			if job.JID == "" {
				return errors.New("a job has no id")
			}
			s.fetched = append(s.fetched, job.JID)
		}
	}
	return nil
}

// Acknowledge tells that jobs are done.
func (s *session) Acknowledge() error {
	for _, id := range s.fetched {
		s.out.WriteString(`ACK {"jid":"` + id + "\"}\r\n")
	}
	if err := s.send(); err != nil {
		return err
	}
	for range s.fetched {
		if err := s.expectOK(); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the connection.
func (s *session) Close() { s.once.Do(func() { _ = s.conn.Close() }) }
