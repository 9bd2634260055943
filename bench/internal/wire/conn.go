package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
)

const (
	firstBuffer = 4 << 10 // bytes
	// mostBuffer is the longest answer that is read, in bytes. The lease of a job with 10,000
	// dependencies is longer than 1 MiB.
	mostBuffer = 8 << 20
)

// Conn is one connection that is kept alive, with one request under way at a time. One
// goroutine may Send while another waits in Receive.
type Conn struct {
	conn   net.Conn
	buffer []byte
	filled int
	forget func() bool

	credential string // a line of the head; "" for none
	request    []byte // that has it
}

// Dial connects. When ctx ends the connection is closed, and whoever waits for it gets an
// error.
func Dial(ctx context.Context, address string) (*Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	return &Conn{
		conn:   conn,
		buffer: make([]byte, firstBuffer),
		forget: context.AfterFunc(ctx, func() { _ = conn.Close() }),
	}, nil
}

// Close closes the connection.
func (c *Conn) Close() {
	if c.forget() {
		_ = c.conn.Close()
	}
}

// Do sends a request and waits for its answer.
func (c *Conn) Do(request []byte) (Response, error) {
	if err := c.Send(request); err != nil {
		return Response{}, err
	}
	return c.Receive()
}

// Expect does what Do does, and makes an error of any other status.
func (c *Conn) Expect(status int, request []byte) (Response, error) {
	r, err := c.Do(request)
	if err == nil && r.Status != status {
		err = r.Unexpected()
	}
	return r, err
}

// Unexpected is the error of an answer that is not the one expected.
func (r Response) Unexpected() error { return fmt.Errorf("answered %d: %s", r.Status, r.Body) }

// Bear has all requests from now on carry a credential; "" for none.
func (c *Conn) Bear(credential string) {
	c.credential = ""
	if credential != "" {
		c.credential = "Authorization: Bearer " + credential + "\r\n"
	}
}

// Send sends a request.
func (c *Conn) Send(request []byte) error {
	if c.credential != "" {
		first := bytes.IndexByte(request, '\n') + 1
		c.request = append(append(append(c.request[:0], request[:first]...), c.credential...), request[first:]...)
		request = c.request
	}
	_, err := c.conn.Write(request)
	return err
}

// Receive waits for the answer of the request that was sent last.
func (c *Conn) Receive() (Response, error) {
	c.filled = 0
	for {
		n, err := c.conn.Read(c.buffer[c.filled:])
		c.filled += n
		if err != nil {
			return Response{}, err
		}
		r, size, err := parse(c.buffer[:c.filled])
		switch {
		case err == nil && size != c.filled:
			return Response{}, errors.New("more was answered than was asked for")
		case err == nil:
			return r, nil
		case !errors.Is(err, errIncomplete):
			return Response{}, err
		}
		if c.filled == len(c.buffer) {
			if len(c.buffer) >= mostBuffer {
				return Response{}, fmt.Errorf("an answer is longer than %d bytes", mostBuffer)
			}
			c.buffer = append(c.buffer, make([]byte, len(c.buffer))...)
		}
	}
}
