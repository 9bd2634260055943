package wire

import (
	"fmt"
	"strings"
)

// host is what requests name as their host: a server that asks nobody who they are answers to it.
const host = "localhost"

// Get returns the bytes of a GET request.
func Get(path string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host)
}

// Post returns the bytes of a POST request with a body of JSON.
func Post(path, body string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		path, host, len(body), body)
}

// Template is a request with one gap in its path, for a text that is always as long.
type Template struct {
	bytes []byte
	gap   int // where it begins
	size  int
}

// PostTemplate returns a template of a POST request: the gap, of size bytes, is between before
// and after in its path.
func PostTemplate(before string, size int, after, body string) *Template {
	bytes := Post(before+strings.Repeat("-", size)+after, body)
	return &Template{bytes: bytes, gap: len("POST ") + len(before), size: size}
}

// Fill puts text into the gap and returns the request, which is good until the next Fill.
func (t *Template) Fill(text []byte) ([]byte, error) {
	if len(text) != t.size {
		return nil, fmt.Errorf("%q is not %d bytes long", text, t.size)
	}
	copy(t.bytes[t.gap:], text)
	return t.bytes, nil
}
