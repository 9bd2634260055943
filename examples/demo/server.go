package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// server is a server, which may be killed and started again.
type server struct {
	name    string   // as a sentence has it
	address string   // host:port, from its first start on
	process *process // the newest; nil before the first start
}

// store is what the servers keep the queue in.
type store struct {
	args []string // that a server is started with
	name string   // as a sentence has it
}

// prepare makes the store, and the servers on it: one with a store on disk, or two on a database.
func (c *cast) prepare() (err error) {
	if c.settings.store != storePostgres {
		c.store = store{args: []string{"--store", filepath.Join(c.temp, "store")}, name: "on disk"}
		c.servers = []*server{{name: "the server"}}
		return nil
	}
	if c.database, err = openDatabase(c.settings.postgres); err != nil {
		return err
	}
	c.store = store{args: []string{"--store", c.database.address, "--migrate"}, name: "in the database"}
	c.servers = []*server{{name: "server 1"}, {name: "server 2"}}
	return nil
}

// startServer starts a server and waits until it listens: the first time on a port that it
// chooses, afterwards on the same one.
func (c *cast) startServer(ctx context.Context, s *server) error {
	listen := s.address
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	listening := make(chan string, 1)
	started, err := start(ctx, program{
		name: s.name,
		path: c.settings.server,
		args: append([]string{
			"--listen", listen,
			"--heartbeat-timeout", heartbeatTimeout.String(),
			"--reap-interval", reapInterval.String(),
			"--max-retries", strconv.Itoa(maxRetries),
			"--log-format", "json",
		}, c.store.args...),
		line: func(line []byte) {
			if address := listeningAddress(line); address != "" {
				select {
				case listening <- address:
				default:
				}
			}
		},
	}, c.fail)
	if err != nil {
		return err
	}
	s.process = started
	select {
	case s.address = <-listening:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(startLimit):
		return fmt.Errorf("%s did not say within %s that it listens; the end of its output:\n%s",
			s.name, startLimit, started.output.tail())
	}
}

// listeningAddress returns the address in the line of log that says that the server is ready,
// and "" for any other line.
func listeningAddress(line []byte) string {
	var entry struct {
		Message string `json:"msg"`
		Address string `json:"address"`
	}
	if json.Unmarshal(line, &entry) != nil || !strings.EqualFold(entry.Message, "listening") {
		return ""
	}
	return entry.Address
}

// audit has the server's program compare everything in the database with its jobs, while the
// servers run, and returns what it says.
func (c *cast) audit(ctx context.Context) (verdict string, err error) {
	audit, err := start(ctx, program{
		name: "the audit", path: c.settings.server, args: []string{"audit", "--store", c.database.address},
	}, func(error) {}) // its end is waited for
	if err != nil {
		return "", err
	}
	defer audit.kill()
	select {
	case <-audit.done:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	said := strings.TrimSpace(audit.output.tail())
	if audit.status != nil {
		return "", fmt.Errorf("the audit of the database failed (%w):\n%s", audit.status, said)
	}
	return said, nil
}
