package wire

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// Response is what is looked at of an answer. Its slices are good until the next answer of the
// same connection.
type Response struct {
	Status   int
	Location []byte // the header; nil if there is none
	Body     []byte
}

// errIncomplete: more bytes are needed.
var errIncomplete = errors.New("the answer is not complete")

// parse reads one answer from the front of b, and returns how many bytes it has. errIncomplete
// if it goes on after b.
func parse(b []byte) (r Response, size int, err error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return Response{}, 0, errIncomplete
	}
	line, rest := cutLine(b[:end+2])
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return Response{}, 0, fmt.Errorf("%q does not begin an answer", line)
	}
	if r.Status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return Response{}, 0, fmt.Errorf("the status of %q: %w", line, err)
	}
	length := -1
	for len(rest) > 0 {
		line, rest = cutLine(rest)
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 {
				return Response{}, 0, fmt.Errorf("%q is no length", value)
			}
		case bytes.EqualFold(name, []byte("Location")):
			r.Location = value
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			return Response{}, 0, fmt.Errorf("an answer in the form %q cannot be read", value)
		}
	}
	if r.Status == 204 {
		length = 0
	}
	if length < 0 {
		return Response{}, 0, errors.New("an answer without length cannot be read")
	}
	size = end + 4 + length
	if len(b) < size {
		return Response{}, 0, errIncomplete
	}
	r.Body = b[end+4 : size]
	return r, size, nil
}

// cutLine returns the first line without its end, and what is after it.
func cutLine(b []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(b, []byte("\r\n"))
	return line, rest
}
