// Package beanstalkd speaks to beanstalkd (https://beanstalkd.github.io), and starts it. A lane is a
// tube. It has no commands for several jobs: a batch is as many commands, sent in one go.
package beanstalkd

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
	"github.com/longshore-queue/longshore/bench/internal/peer"
	"github.com/longshore-queue/longshore/bench/internal/process"
)

// patience is how long a job may be with a worker, in seconds: longer than anything here takes.
const patience = "600"

// Arguments are those of beanstalkd, which keeps its log in a directory; "" for none. always makes
// it sync before it answers instead of every 50 ms.
func Arguments(directory string, always bool) []string {
	if directory == "" {
		return nil
	}
	if always {
		return []string{"-b", directory, "-f", "0"}
	}
	return []string{"-b", directory}
}

// Program is beanstalkd, to be started.
func Program(path string, arguments []string) process.Program {
	return process.Program{
		Name: "beanstalkd", Path: path, Args: arguments,
		Listen: func(address string) []string {
			host, port, _ := net.SplitHostPort(address)
			return []string{"-l", host, "-p", port}
		},
		Ready: process.Accepts,
	}
}

// Opener opens sessions at an address.
func Opener(address string) peer.Opener {
	return func(ctx context.Context, lane string, caller int) (peer.Session, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		s := &session{conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}
		args := jobs.New(fmt.Sprint("beanstalkd ", caller)).Args()
		s.put = fmt.Appendf(nil, "put 0 0 %s %d\r\n%s\r\n", patience, len(args), args)
		for command, want := range map[string]string{"use " + lane: "USING", "watch " + lane: "WATCHING"} {
			if err := s.do([]byte(command+"\r\n"), want); err != nil {
				s.Close()
				return nil, err
			}
		}
		// Whoever watches more than one tube takes jobs of all of them.
		if lane != "default" {
			if err := s.do([]byte("ignore default\r\n"), "WATCHING"); err != nil {
				s.Close()
				return nil, err
			}
		}
		return s, nil
	}
}

type session struct {
	conn    net.Conn
	in      *bufio.Reader
	out     []byte
	put     []byte
	fetched [][]byte // ids
	once    sync.Once
}

// do sends a command and expects an answer that begins with a word.
func (s *session) do(command []byte, want string) error {
	if _, err := s.conn.Write(command); err != nil {
		return err
	}
	_, err := s.expect(want)
	return err
}

// expect reads one line, whose first word has to be want, and returns the others.
func (s *session) expect(want string) ([]byte, error) {
	line, err := s.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	word, rest, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(" "))
	if string(word) != want {
		return nil, fmt.Errorf("beanstalkd answered %q where %s was expected", line, want)
	}
	return rest, nil
}

// Add puts jobs.
func (s *session) Add(n int) error {
	if _, err := s.conn.Write(bytes.Repeat(s.put, n)); err != nil {
		return err
	}
	for range n {
		if _, err := s.expect("INSERTED"); err != nil {
			return err
		}
	}
	return nil
}

// Fetch reserves jobs.
func (s *session) Fetch(n int) error {
	if _, err := s.conn.Write(bytes.Repeat([]byte("reserve\r\n"), n)); err != nil {
		return err
	}
	s.fetched = s.fetched[:0]
	for range n {
		rest, err := s.expect("RESERVED")
		if err != nil {
			return err
		}
		id, size, _ := bytes.Cut(rest, []byte(" "))
		s.fetched = append(s.fetched, bytes.Clone(id))
		length, err := strconv.Atoi(string(size))
		if err != nil {
			return fmt.Errorf("the size of a job: %w", err)
		}
		if _, err := io.CopyN(io.Discard, s.in, int64(length)+2); err != nil {
			return err
		}
	}
	return nil
}

// Acknowledge deletes jobs.
func (s *session) Acknowledge() error {
	s.out = s.out[:0]
	for _, id := range s.fetched {
		s.out = append(append(append(s.out, "delete "...), id...), "\r\n"...)
	}
	if _, err := s.conn.Write(s.out); err != nil {
		return err
	}
	for range s.fetched {
		if _, err := s.expect("DELETED"); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the connection.
func (s *session) Close() { s.once.Do(func() { _ = s.conn.Close() }) }
