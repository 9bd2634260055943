//go:build unix

package postgres

import (
	"errors"
	"net"
	"syscall"
)

// isSilent reports whether nothing has come over a connection that was not read, its end included.
// It takes nothing from it, and does not block: pgx may leave a goroutine that reads, which Read of a
// raw connection would wait for.
func isSilent(conn net.Conn) bool {
	socket, is := conn.(syscall.Conn)
	if !is {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	silent := false
	err = raw.Control(func(descriptor uintptr) {
		_, _, err := syscall.Recvfrom(int(descriptor), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		silent = errors.Is(err, syscall.EAGAIN)
	})
	return err == nil && silent
}
