package api

import (
	"context"
	"crypto/tls"
	"net"
)

// sendBuffer is how much the kernel may keep of what was written to a narrow connection, in bytes. Linux doubles it for
// what it needs itself.
const sendBuffer = 16 << 10

// connKey is of a request's connection in its context.
type connKey struct{}

// WithConn returns a context that knows the connection that its requests come over. It is of the type of
// http.Server's ConnContext.
func WithConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// narrow has the kernel keep little of what is written to a request's connection from now on, and reports whether it
// will. The kernel keeps what a client does not read, and the smaller the pieces are in which they do, the more memory it
// needs for it: more than twice what was written where it is 256 bytes at a time. On a narrow connection the handler waits
// instead, within the time that the client has.
//
// It holds for as long as the connection does, which is of little use then where a client is far away: close it after the
// answer. Over HTTP/2 nothing changes: a client says itself how much is sent to it, and others share the connection.
func narrow(ctx context.Context) bool {
	conn, _ := ctx.Value(connKey{}).(net.Conn)
	if secure, ok := conn.(*tls.Conn); ok {
		if secure.ConnectionState().NegotiatedProtocol == "h2" {
			return false
		}
		conn = secure.NetConn()
	}
	buffered, ok := conn.(interface{ SetWriteBuffer(bytes int) error })
	return ok && buffered.SetWriteBuffer(sendBuffer) == nil
}
