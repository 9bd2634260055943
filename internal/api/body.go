package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"github.com/longshore-queue/longshore/internal/api/oapi"
)

const (
	// maxDepth is how deep a body may be nested, its own object included.
	maxDepth = 64
	// keepBuffer is the largest buffer, in bytes, that is kept for the next request.
	keepBuffer = 64 << 10
)

// errNoBody answers the generated code, which takes io.EOF for a body that is absent and asks
// no further where the contract does not require one.
var errNoBody = fmt.Errorf("no body: %w", io.EOF)

// bodies reads the bodies of requests into the types of the contract. It is Echo's Binder.
//
// A body is read whole, into a buffer that is used again, and checked before it is looked
// into; nothing that is decoded refers to the buffer.
type bodies struct {
	limit   int64         // bytes
	timeout time.Duration // for all of the body
	objects map[reflect.Type]*object
	readers sync.Pool // of *reader
}

// reader is what reading one body takes.
type reader struct {
	buffer  bytes.Buffer
	decoder *jsontext.Decoder
}

// newBodies returns a Binder for every type of body in the contract.
func newBodies(limit int64, timeout time.Duration) (*bodies, error) {
	b := &bodies{limit: limit, timeout: timeout, objects: make(map[reflect.Type]*object)}
	b.readers.New = func() any { return &reader{decoder: new(jsontext.Decoder)} }
	for _, body := range []any{
		oapi.NewJob{}, oapi.DequeueRequest{}, oapi.DequeueJobRequest{},
		oapi.FinishRequest{}, oapi.FailRequest{}, oapi.Nothing{},
	} {
		t := reflect.TypeOf(body)
		o, err := objectOf(t)
		if err != nil {
			return nil, fmt.Errorf("api: body %s: %w", t, err)
		}
		b.objects[t] = o
	}
	return b, nil
}

// Bind reads the request's body into the value that into points to. The error is errNoBody,
// a *requestError, or about a type that newBodies does not list.
func (b *bodies) Bind(into any, c echo.Context) error {
	v := reflect.ValueOf(into).Elem()
	o, known := b.objects[v.Type()]
	if !known {
		return fmt.Errorf("no decoder for a body of type %s", v.Type())
	}
	r := c.Request()
	if err := checkEncoding(r.Header); err != nil {
		return err
	}
	if r.ContentLength == 0 {
		return errNoBody
	}
	if r.ContentLength > b.limit {
		closeAfter(c)
		return b.tooLarge()
	}
	typeErr := checkContentType(r.Header)
	if typeErr != nil && r.ContentLength > 0 {
		return typeErr
	}

	rd := b.readers.Get().(*reader)
	defer b.put(rd)
	if err := b.read(&rd.buffer, c); err != nil {
		return err
	}
	if rd.buffer.Len() == 0 {
		return errNoBody
	}
	if typeErr != nil {
		return typeErr
	}
	if err := checkText(rd.buffer.Bytes()); err != nil {
		return err
	}
	// Invalid UTF-8 was refused above. What this allows is a lone surrogate, written as an
	// escape: an opaque value may hold one, and keeps it. The strings of the contract itself
	// may not.
	rd.decoder.Reset(&rd.buffer, jsontext.AllowInvalidUTF8(true))
	return decode(rd.decoder, o, v)
}

// read reads the whole body, within the limit and the time.
func (b *bodies) read(buffer *bytes.Buffer, c echo.Context) error {
	r, w := c.Request(), c.Response().Writer
	from := io.Reader(r.Body)
	if r.ContentLength < 0 {
		from = http.MaxBytesReader(w, r.Body, b.limit)
	} else {
		// The declared length is a claim: what it reserves is bounded.
		buffer.Grow(int(min(r.ContentLength, keepBuffer/2)) + bytes.MinRead)
	}
	// Not http.Server's ReadTimeout: that goes on after the body is read, and its end looks
	// to a handler that waits for a job as if the client had gone.
	conn := http.NewResponseController(w)
	deadline := conn.SetReadDeadline(time.Now().Add(b.timeout)) == nil
	_, err := buffer.ReadFrom(from)
	if deadline && err == nil {
		err = conn.SetReadDeadline(time.Time{})
	}
	if err == nil {
		return nil
	}
	closeAfter(c)
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return b.tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &requestError{code: codeRequestTimeout, detail: fmt.Sprintf("the body did not arrive within %s", b.timeout)}
	default:
		return &requestError{code: codeInvalidJSON, detail: "the body ended early"}
	}
}

func (b *bodies) tooLarge() error {
	return &requestError{
		code:   codeBodyTooLarge,
		detail: fmt.Sprintf("the body is longer than the %d bytes that this server accepts", b.limit),
	}
}

func (b *bodies) put(rd *reader) {
	if rd.buffer.Cap() > keepBuffer {
		return
	}
	rd.buffer.Reset()
	b.readers.Put(rd)
}

// closeAfter ends the connection after the answer: what is left of the body is not read.
func closeAfter(c echo.Context) {
	c.Response().Header().Set("Connection", "close")
}

func checkEncoding(header http.Header) error {
	for _, value := range header["Content-Encoding"] {
		if value != "" && !strings.EqualFold(value, "identity") {
			return &requestError{
				code:   codeUnsupportedMediaType,
				detail: "the body must come without Content-Encoding",
				field:  "Content-Encoding",
			}
		}
	}
	return nil
}

// checkContentType accepts application/json, with charset=utf-8 or no parameter.
func checkContentType(header http.Header) error {
	values := header["Content-Type"]
	if len(values) == 1 {
		if values[0] == "application/json" {
			return nil
		}
		media, parameters, err := mime.ParseMediaType(values[0])
		charset, given := parameters["charset"]
		if err == nil && media == "application/json" &&
			(len(parameters) == 0 || len(parameters) == 1 && given && strings.EqualFold(charset, "utf-8")) {
			return nil
		}
	}
	return &requestError{
		code:   codeUnsupportedMediaType,
		detail: "the body must come with Content-Type: application/json",
		field:  "Content-Type",
	}
}

// checkText refuses what a decoder should not be bothered with, in one pass over the bytes.
func checkText(body []byte) error {
	if !utf8.Valid(body) {
		return &requestError{code: codeInvalidJSON, detail: "the body is not valid UTF-8"}
	}
	if deeper(body, maxDepth) {
		return &requestError{code: codeInvalidJSON, detail: "the body is nested more than " + itoa(maxDepth) + " deep"}
	}
	return nil
}

// deeper reports whether arrays and objects nest deeper than most. It goes by brackets alone,
// and needs neither a stack nor valid JSON: the decoder that follows is recursive.
func deeper(body []byte, most int) bool {
	depth := 0
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '{', '[':
			depth++
			if depth > most {
				return true
			}
		case '}', ']':
			depth--
		case '"':
			for i++; i < len(body) && body[i] != '"'; i++ {
				if body[i] == '\\' {
					i++
				}
			}
		}
	}
	return false
}

func itoa(i int) string { return strconv.Itoa(i) }
