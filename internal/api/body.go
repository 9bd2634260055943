package api

import (
	"bytes"
	"context"
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

	"github.com/labstack/echo/v4"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/limit"
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
// A body is read whole and checked before it is looked into. The buffer is used again, unless
// it is a large one: what is opaque in a body is copied out of it, or keeps it.
type bodies struct {
	timeout time.Duration // for all of the body, and for room for it before
	room    *limit.Room   // for those that are longer than keepBuffer
	limited func()        // told of each that there was no room for
	kinds   map[reflect.Type]bodyKind
	readers sync.Pool // of *reader
}

// bodyKind is a type of body.
type bodyKind struct {
	object *object
	limit  int64 // bytes
}

// reader is what reading one body takes.
type reader struct {
	buffer  bytes.Buffer
	scanner *scanner
}

const (
	// aroundResult is how much longer than its largest value a body may be that has one, in bytes.
	aroundResult = 4 << 10
	// aroundReport is the same of a body that asks for a job too: it may name 64 types and as
	// many channels.
	aroundReport = 64 << 10
)

// newBodies returns a Binder for every type of body in the contract.
func newBodies(options Options) (*bodies, error) {
	b := &bodies{
		timeout: options.BodyTimeout, room: options.Limits.Bodies,
		limited: func() { options.Observer.Limited(limitMemory) },
		kinds:   make(map[reflect.Type]bodyKind),
	}
	b.readers.New = func() any { return &reader{scanner: newScanner()} }
	usual, withResult := options.MaxBodyBytes, max(options.MaxBodyBytes, options.MaxResultBytes+aroundResult)
	withReport := max(options.MaxBodyBytes, options.MaxResultBytes+aroundReport)
	for _, body := range []struct {
		value any
		limit int64
	}{
		{oapi.NewJob{}, usual},
		{oapi.NewJobs{}, options.MaxBatchBytes},
		{oapi.JobUpdate{}, usual},
		{oapi.JobsWait{}, usual},
		{oapi.ManyJobs{}, usual},
		{oapi.BackupRequest{}, usual},
		{oapi.NewAPIKey{}, usual},
		{oapi.DequeueRequest{}, withReport},
		{oapi.DequeueBatchRequest{}, options.MaxBatchBytes},
		{oapi.DequeueJobRequest{}, usual},
		{oapi.HeartbeatRequest{}, withResult},
		{oapi.HeartbeatsRequest{}, options.MaxBatchBytes},
		{oapi.FinishRequest{}, withResult},
		{oapi.FailRequest{}, withResult},
		{oapi.ReleaseRequest{}, usual},
		{oapi.Nothing{}, usual},
	} {
		t := reflect.TypeOf(body.value)
		o, err := objectOf(t)
		if err != nil {
			return nil, fmt.Errorf("api: body %s: %w", t, err)
		}
		b.kinds[t] = bodyKind{object: o, limit: body.limit}
	}
	return b, nil
}

// Bind reads the request's body into the value that into points to. The error is errNoBody,
// a *requestError, or about a type that newBodies does not list.
func (b *bodies) Bind(into any, c echo.Context) error {
	v := reflect.ValueOf(into).Elem()
	kind, known := b.kinds[v.Type()]
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
	if r.ContentLength > kind.limit {
		closeAfter(c)
		return tooLarge(kind.limit)
	}
	typeErr := checkContentType(r.Header)
	if typeErr != nil && r.ContentLength > 0 {
		return typeErr
	}

	rd := b.readers.Get().(*reader)
	defer b.put(rd)
	if err := b.read(&rd.buffer, kind.limit, c); err != nil {
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
	if _, given := r.Header[headerIdempotencyKey]; given {
		termsOf(r.Context()).asked(rd.buffer.Bytes())
	}
	rd.scanner.reset(&rd.buffer, rd.again())
	return decode(rd.scanner, kind.object, v)
}

// read reads the whole body, within the limit and the time, which edge has set, and ends that.
func (b *bodies) read(buffer *bytes.Buffer, most int64, c echo.Context) error {
	err := b.readInto(buffer, most, c)
	if err == nil {
		// Not http.Server's ReadTimeout: that goes on after the body is read, and its end looks
		// to a handler that waits for a job as if the client had gone.
		err = readUntil(c.Response().Writer, time.Time{})
	}
	if err == nil {
		return nil
	}
	closeAfter(c)
	var over *http.MaxBytesError
	switch {
	case errors.Is(err, errOverloaded), errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &over):
		return tooLarge(most)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &requestError{code: codeRequestTimeout, detail: fmt.Sprintf("the body did not arrive within %s", b.timeout)}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &requestError{code: codeInvalidJSON, detail: "the body ended early"}
	default:
		return &requestError{code: codeInvalidJSON, detail: "the body is not as long as it says, or its chunks are malformed"}
	}
}

// readInto reads the whole body. A long one is read on once there is room for it; one of a length that nobody has
// declared may turn out to be as long as one may be.
func (b *bodies) readInto(buffer *bytes.Buffer, most int64, c echo.Context) error {
	r, w := c.Request(), c.Response().Writer
	declared, body := r.ContentLength >= 0, r.Body
	if declared {
		most = r.ContentLength
	} else {
		body = http.MaxBytesReader(w, r.Body, most)
	}
	if b.room != nil && most > keepBuffer {
		// What is declared is a claim. Short ones need no room: there are as many as connections at most.
		if n, err := buffer.ReadFrom(io.LimitReader(body, keepBuffer)); err != nil || n < keepBuffer {
			return err
		}
		if err := b.makeRoom(r.Context(), most); err != nil {
			return err
		}
		// Who had to wait has the whole time to send the rest.
		if err := readUntil(w, time.Now().Add(b.timeout)); err != nil {
			return err
		}
	}
	if declared {
		return readDeclared(buffer, body, most)
	}
	_, err := buffer.ReadFrom(body)
	holdingOf(r.Context()).body.Keep(int64(buffer.Len()))
	return err
}

// readUntil has the connection of w read until then at most; for ever until the zero time. What a test writes to has no
// connection: http.ResponseController would make an error of that for each request.
func readUntil(w http.ResponseWriter, then time.Time) error {
	for {
		switch of := w.(type) {
		case interface{ SetReadDeadline(then time.Time) error }:
			return of.SetReadDeadline(then)
		case interface{ Unwrap() http.ResponseWriter }:
			w = of.Unwrap()
		default:
			return nil
		}
	}
}

// readDeclared reads a body of a length that is a claim of the client: what it reserves is
// eight times as much as has arrived, at most.
func readDeclared(buffer *bytes.Buffer, body io.Reader, length int64) error {
	for part := int64(keepBuffer / 2); part < length; part *= 8 {
		if part <= int64(buffer.Len()) {
			continue // it has arrived
		}
		buffer.Grow(int(part) - buffer.Len() + bytes.MinRead)
		if _, err := buffer.ReadFrom(io.LimitReader(body, part-int64(buffer.Len()))); err != nil {
			return err
		}
		if int64(buffer.Len()) < part {
			return io.ErrUnexpectedEOF
		}
	}
	buffer.Grow(int(length) - buffer.Len() + bytes.MinRead)
	_, err := buffer.ReadFrom(body) // to its end, which net/http waits for
	return err
}

func tooLarge(most int64) error {
	return &requestError{
		code:   codeBodyTooLarge,
		detail: fmt.Sprintf("the body is longer than the %d bytes that this server accepts here", most),
	}
}

// again reports whether the buffer will be used again, rather than be left to what was decoded
// from it.
func (r *reader) again() bool { return r.buffer.Cap() <= keepBuffer }

func (b *bodies) put(rd *reader) {
	if !rd.again() {
		return
	}
	rd.buffer.Reset()
	b.readers.Put(rd)
}

// closeAfter ends the connection after the answer: what is left of the body is not read. Over HTTP/2 the end of the
// stream does that, and others share the connection.
func closeAfter(c echo.Context) {
	if c.Request().ProtoMajor == 1 {
		c.Response().Header().Set("Connection", "close")
	}
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
			i = endOfString(body, i+1)
		}
	}
	return false
}

// endOfString returns where the quote is that ends the string which begins at i, or a place
// past the end of the body. It looks at no byte more than twice.
func endOfString(body []byte, i int) int {
	quote := -1
	for i < len(body) {
		if quote < i {
			next := bytes.IndexByte(body[i:], '"')
			if next < 0 {
				break
			}
			quote = i + next
		}
		escape := bytes.IndexByte(body[i:quote], '\\')
		if escape < 0 {
			return quote
		}
		i += escape + len(`\x`)
	}
	return len(body)
}

func itoa(i int) string { return strconv.Itoa(i) }
