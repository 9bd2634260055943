package api

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/longshore-queue/longshore/internal/queue"
)

// scanner reads the values of one body after the other. What it returns as bytes is part of
// the body, and good until the next value is read.
type scanner struct {
	json    *jsontext.Decoder
	words   words
	size    int    // of the body, in bytes
	body    []byte // nil if its memory will be used again
	entries int    // of all the body's arrays so far
}

// maxEntries is how many entries the arrays of one body may have in all. Only a batch can have
// as many: each of its arrays may be short, and there may be thousands.
const maxEntries = queue.MaxJobs + queue.MaxEdges

func newScanner() *scanner { return &scanner{json: new(jsontext.Decoder), words: newWords()} }

// reset begins with another body, which must be valid UTF-8. With again nothing that is decoded
// refers to the buffer, which can be used again then; else opaque values do.
func (s *scanner) reset(body *bytes.Buffer, again bool) {
	s.body, s.size, s.entries = body.Bytes(), body.Len(), 0
	if again {
		s.body = nil
	}
	// What this allows is a lone surrogate, written as an escape: an opaque value may hold one,
	// and keeps it. The strings of the contract itself may not.
	s.json.Reset(body, jsontext.AllowInvalidUTF8(true))
}

// step reads what begins or ends an object or an array.
func (s *scanner) step() error {
	if _, err := s.json.ReadToken(); err != nil {
		return s.syntax(err)
	}
	return nil
}

// value reads one value whole.
func (s *scanner) value() ([]byte, error) {
	value, err := s.json.ReadValue()
	if err != nil {
		return nil, s.syntax(err)
	}
	return value, nil
}

// expect checks the kind of the next value. When it is another one, the value is read to
// learn whether it is JSON at all, and to have the decoder point at it.
func (s *scanner) expect(kind jsontext.Kind, mustBe string) error {
	if s.json.PeekKind() == kind {
		return nil
	}
	if _, err := s.value(); err != nil {
		return err
	}
	return s.wrong(mustBe)
}

// text reads a string of the contract, such as a name: unlike an opaque value it must be
// sound text.
func (s *scanner) text() ([]byte, error) {
	value, err := s.value()
	if err != nil {
		return nil, err
	}
	text, ok := unquote(value)
	if !ok {
		return nil, s.wrong(badEscape)
	}
	return text, nil
}

const badEscape = "holds an escape that is not a character"

// unquote returns the text of a valid JSON string, without a copy where it is written as it
// is. Not ok is half of a surrogate pair.
func unquote(value []byte) (text []byte, ok bool) {
	if bytes.IndexByte(value, '\\') < 0 {
		return value[1 : len(value)-1], true
	}
	text, err := jsontext.AppendUnquote(nil, value)
	return text, err == nil
}

const mustBeInteger = "must be an integer of at most 64 bits, without fraction and exponent"

func (s *scanner) integer(mustBe string) (int64, error) {
	value, err := s.number(mustBe)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return 0, s.wrong(mustBeInteger)
	}
	return n, nil
}

func (s *scanner) float(mustBe string) (float64, error) {
	value, err := s.number(mustBe)
	if err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(string(value), 64)
	if err != nil {
		return 0, s.wrong("is out of range")
	}
	return f, nil
}

func (s *scanner) number(mustBe string) ([]byte, error) {
	if err := s.expect('0', mustBe); err != nil {
		return nil, err
	}
	return s.value()
}

// keep returns an opaque value that was just read, for good.
func (s *scanner) keep(value []byte) []byte {
	if s.body == nil {
		return bytes.Clone(value)
	}
	end := s.json.InputOffset()
	return s.body[end-int64(len(value)) : end : end]
}

// capacity is how many entries to reserve for an array that has n, more than 0, the first of
// which began at from: as many as the rest of the body may hold, if all are alike, and at most
// four times as many as there are, since the rest need not be of this array.
func (s *scanner) capacity(n, most int, from int64) int {
	at := s.json.InputOffset()
	each := (at-from)/int64(n) + 1
	rest := (int64(s.size)-at)/each + 1
	return min(n+int(min(rest, 3*int64(n))), most)
}

// wrong is an invalid-request about the value that was read last.
func (s *scanner) wrong(reason string) error {
	name := fieldName(s.json.StackPointer())
	if name == "" {
		return &requestError{code: codeInvalidRequest, detail: "the body " + reason}
	}
	return invalid(name, reason)
}

// tooMany is an invalid-request about the array or object that is being read.
func (s *scanner) tooMany(most int, what string) error {
	return invalid(fieldName(s.json.StackPointer().Parent()), fmt.Sprintf("has more than %d %s", most, what))
}

// syntax turns what the decoder says into what a client is told.
func (s *scanner) syntax(err error) error {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		if errors.Is(syntax.Err, jsontext.ErrDuplicateName) {
			return invalid(fieldName(syntax.JSONPointer), "is there twice")
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			return &requestError{code: codeInvalidJSON, detail: fmt.Sprintf("the body is not valid JSON: see byte %d", syntax.ByteOffset)}
		}
	}
	return &requestError{code: codeInvalidJSON, detail: fmt.Sprintf("the body ends in the middle of a JSON value, after byte %d", s.json.InputOffset())}
}

// words keeps short strings that were made before, to make none of them twice: types,
// channels and labels are the same ones again and again. It forgets one for another.
type words struct {
	seed  maphash.Seed
	known []string // by hash
}

const (
	maxWords      = 256
	maxWordLength = 64 // bytes
)

func newWords() words { return words{seed: maphash.MakeSeed(), known: make([]string, maxWords)} }

// of returns the text as a string.
func (w *words) of(text []byte) string {
	if len(text) == 0 || len(text) > maxWordLength {
		return string(text)
	}
	known := &w.known[maphash.Bytes(w.seed, text)%maxWords]
	if *known != string(text) {
		*known = string(text)
	}
	return *known
}
