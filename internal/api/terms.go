package api

import (
	"context"
	"crypto/sha256"
	"hash"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/queue"
)

// The headers that change what a request means, as net/http writes their names.
const (
	headerIdempotencyKey = "Idempotency-Key"
	headerTraceParent    = "Traceparent"
	headerIfMatch        = "If-Match"
	headerIfNoneMatch    = "If-None-Match"
)

// maxIdempotencyKey is how long a key may be, in bytes.
const maxIdempotencyKey = 255

// terms are what the headers of a request ask for. They travel with its context, and only a
// request that has such a header has them: nil stands for none, and has every method.
//
// The generated code reads headers too. What it cannot read as the contract means it, which is
// a header that is there twice, is taken out of the request before.
type terms struct {
	scope       string    // of the key: the operation, and what it is about
	key         string    // Idempotency-Key; "" if it is not given
	principal   string    // who the key is of; "" if nobody is asked
	digest      hash.Hash // of what the call asks for, if there is a key
	traceParent string    // "" if it is not given, or malformed
	ifMatch     *tags     // nil if it is not given
	ifNoneMatch *tags     // nil if it is not given
}

type termsKey struct{}

// termsOf returns the terms of the request that the context belongs to.
func termsOf(ctx context.Context) *terms {
	t, _ := ctx.Value(termsKey{}).(*terms)
	return t
}

// takeTerms reads the headers that the request's operation knows, and hands them on with its
// context.
func takeTerms(c echo.Context, op *operation) error {
	r := c.Request()
	if op.resumed && len(r.Header.Values(headerLastEventID)) > 1 {
		return invalid(headerLastEventID, "is there twice")
	}
	keys, parents := r.Header[headerIdempotencyKey], r.Header[headerTraceParent]
	matches, known := r.Header[headerIfMatch], r.Header[headerIfNoneMatch]
	if len(keys)+len(parents)+len(matches)+len(known) == 0 {
		return nil
	}
	if !op.idempotent && !op.traced && !op.conditional && !op.cached {
		return nil // many a client sends a traceparent with everything
	}
	t := &terms{}
	if p := auth.PrincipalOf(r.Context()); p != nil {
		t.principal = p.Name
	}
	if len(keys) > 0 && op.idempotent {
		key, err := idempotencyKey(keys)
		if err != nil {
			return err
		}
		t.begin(key, op.name, c.Param("id"))
	}
	if len(parents) > 0 && op.traced {
		if len(parents) == 1 && validTraceParent(parents[0]) {
			t.traceParent = parents[0]
		}
		r.Header.Del(headerTraceParent)
	}
	if len(matches) > 0 && op.conditional {
		var err error
		if t.ifMatch, err = parseTags(headerIfMatch, matches); err != nil {
			return err
		}
		r.Header.Del(headerIfMatch)
	}
	if len(known) > 0 && op.cached {
		var err error
		if t.ifNoneMatch, err = parseTags(headerIfNoneMatch, known); err != nil {
			return err
		}
		r.Header.Del(headerIfNoneMatch)
	}
	c.SetRequest(r.WithContext(context.WithValue(r.Context(), termsKey{}, t)))
	return nil
}

// begin notes the key of a call. Keys of different operations, and of different jobs, are
// different keys.
func (t *terms) begin(key, operation, id string) {
	t.key, t.scope = key, operation
	if id != "" {
		job, _ := parseUUID(id) // the path was checked; its letters may be capitals
		t.scope += " " + job.String()
	}
	t.digest = sha256.New()
	_, _ = io.WriteString(t.digest, t.scope+"\n") // a hash never fails
}

// asked notes the body of a call, as it was sent. It is called once, or not at all if there is
// no body.
func (t *terms) asked(body []byte) {
	if t != nil && t.digest != nil {
		_, _ = t.digest.Write(body)
	}
}

// once is what makes the call idempotent, if it is to be. Spaces separate the scope, the key and
// the principal, of which none but the last has one at such a place: two principals that use the
// same key do not meet.
func (t *terms) once() queue.Once {
	if t == nil || t.key == "" {
		return queue.Once{}
	}
	once := queue.Once{Key: t.scope + " " + t.key}
	if t.principal != "" {
		once.Key += " " + t.principal
	}
	t.digest.Sum(once.Digest[:0])
	return once
}

// trace is the trace context of jobs that have none of their own.
func (t *terms) trace() string {
	if t == nil {
		return ""
	}
	return t.traceParent
}

// tags are those that a job must have one of; nil for any.
func (t *terms) tags() *tags {
	if t == nil {
		return nil
	}
	return t.ifMatch
}

func idempotencyKey(values []string) (string, error) {
	if len(values) != 1 {
		return "", invalid(headerIdempotencyKey, "is there twice")
	}
	key := values[0]
	if key == "" || len(key) > maxIdempotencyKey || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", invalid(headerIdempotencyKey, "must be 1 to "+itoa(maxIdempotencyKey)+" printable ASCII characters, without spaces")
	}
	return key, nil
}

// validTraceParent asks the domain, which looks at it as at the field of a job.
func validTraceParent(text string) bool {
	return text != "" && queue.NewJob{Type: "any", TraceParent: text}.Validate() == nil
}

// known are those that the client knows; nil if it tells of none.
func (t *terms) known() *tags {
	if t == nil {
		return nil
	}
	return t.ifNoneMatch
}

// tags are the versions of an If-Match, or of an If-None-Match.
type tags struct {
	any      bool     // it was "*"
	versions []uint64 // of the tags that are as appendTag makes them
}

// parseTags reads such a header as RFC 9110 writes it: "*", or a list of entity tags. Of these only
// those can match that appendTag can make, and the weak ones only in an If-None-Match.
func parseTags(header string, values []string) (*tags, error) {
	text := strings.Join(values, ",") // several lines of a list are one list
	if strings.Trim(text, " \t") == "*" {
		return &tags{any: true}, nil
	}
	var t tags
	found := false
	for text = strings.TrimLeft(text, " \t,"); text != ""; found = true {
		opaque, weak := strings.CutPrefix(text, "W/")
		tag, rest, ok := cutTag(opaque)
		rest = strings.TrimLeft(rest, " \t")
		if !ok || rest != "" && rest[0] != ',' {
			return nil, invalid(header, `must be * or entity tags separated by commas, such as "3"`)
		}
		if version, err := strconv.ParseUint(tag, 10, 64); err == nil && (!weak || header == headerIfNoneMatch) && tag == strconv.FormatUint(version, 10) {
			t.versions = append(t.versions, version)
		}
		text = strings.TrimLeft(rest, " \t,")
	}
	if !found {
		return nil, invalid(header, `must be * or entity tags separated by commas, such as "3"`)
	}
	return &t, nil
}

// match reports whether a job of the version has one of the tags; nil are any.
func (t *tags) match(version uint64) bool {
	return t == nil || t.any || slices.Contains(t.versions, version)
}

// cutTag cuts a quoted tag off the beginning of a text, and returns what is between the quotes.
func cutTag(text string) (tag, rest string, ok bool) {
	if text == "" || text[0] != '"' {
		return "", "", false
	}
	tag, rest, ok = strings.Cut(text[1:], `"`)
	// RFC 9110 has etagc: visible characters, and what is not ASCII.
	return tag, rest, ok && !strings.ContainsFunc(tag, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

// appendTag appends the entity tag of a job's version.
func appendTag(b []byte, version uint64) []byte {
	return append(strconv.AppendUint(append(b, '"'), version, 10), '"')
}
