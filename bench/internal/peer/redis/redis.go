// Package redis starts Redis, in which others keep their jobs. It speaks to it no more than it takes to know that
// it is there.
package redis

import (
	"context"
	"net"

	"github.com/longshore-queue/longshore/bench/internal/process"
)

// Sync is when what Redis appends to its log is synced.
type Sync string

// The values of appendfsync.
const (
	EverySecond Sync = "everysec"
	Always      Sync = "always"
)

// Program is Redis, to be started, with a log in a directory that whoever it runs as may write to.
func Program(path, directory string, sync Sync) process.Program {
	return process.Program{
		Name: "redis-server", Path: path,
		Args: []string{
			"--dir", directory, "--appendonly", "yes", "--appendfsync", string(sync),
			// The log is what is durable: snapshots beside it only take processors.
			"--save", "",
		},
		Listen: func(address string) []string {
			host, port, _ := net.SplitHostPort(address)
			return []string{"--bind", host, "--port", port}
		},
		Ready: answers,
	}
}

// answers tells whether it answers a PING, which it does not before it has read its log.
func answers(ctx context.Context, address string) bool {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer conn.Close() //nolint:errcheck // nothing is at stake
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	const pong = "+PONG\r\n"
	answer := make([]byte, len(pong))
	n, err := conn.Read(answer)
	return err == nil && string(answer[:n]) == pong
}
