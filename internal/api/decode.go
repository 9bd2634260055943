package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// The types of the contract are generated, so they say by their shape what a body must look
// like: a field without omitempty is required, a json.RawMessage is opaque and may be null,
// nothing else may. encoding/json does not look at it that way: it takes null for anything,
// names in any case, names twice, and keeps quiet about what is missing. The decoder here
// holds a body to the shape, and names the field that breaks it.
//
// A batch has thousands of objects, so what is done for each is little: a name is looked up
// as it stands in the body, strings that were seen before are not made again (scanner.go), and
// where in the body a value is, is found out only when it is wrong.

// object is how a struct of the contract is read.
type object struct {
	fields   map[string]field
	required []string // names, in the order of the struct
}

type field struct {
	index  int
	decode decodeFunc
}

// decodeFunc reads the next value into v.
type decodeFunc func(s *scanner, v reflect.Value) error

// most is how many entries an array of that name may have. They are counted while they are
// read: an entry may take two bytes of the body, and many times as much once it is decoded.
func most(name string) int {
	switch name {
	case "jobs", "ids":
		return queue.MaxJobs
	case "dependencies", "needs":
		return queue.MaxDependencies
	case "types":
		return queue.MaxTypes
	case "labels":
		return queue.MaxLabels
	case "states":
		return len(queue.States())
	case "channels":
		return queue.MaxChannels
	case "scopes":
		return queue.MaxAPIKeyScopes
	case "finish", "heartbeats":
		return queue.MaxBatch
	default:
		return 0
	}
}

// decode reads one object, and nothing after it.
func decode(s *scanner, o *object, v reflect.Value) error {
	if err := o.decode(s, v); err != nil {
		return err
	}
	if _, err := s.json.ReadToken(); !errors.Is(err, io.EOF) {
		return &requestError{
			code:   codeInvalidJSON,
			detail: fmt.Sprintf("there is more than one JSON value: see byte %d", s.json.InputOffset()),
		}
	}
	return nil
}

func (o *object) decode(s *scanner, v reflect.Value) error {
	if err := s.expect('{', "must be an object"); err != nil {
		return err
	}
	if err := s.step(); err != nil {
		return err
	}
	var seen uint64 // bit i: the field of index i
	for s.json.PeekKind() != '}' {
		name, err := s.text()
		if err != nil {
			return err
		}
		field, known := o.fields[string(name)]
		if !known {
			return s.wrong("is not a known field")
		}
		seen |= 1 << field.index
		if err := field.decode(s, v.Field(field.index)); err != nil {
			return err
		}
	}
	if err := s.step(); err != nil {
		return err
	}
	for _, name := range o.required {
		if seen&(1<<o.fields[name].index) == 0 {
			return invalid(fieldName(s.json.StackPointer().AppendToken(name)), "is required")
		}
	}
	return nil
}

// objectOf derives from a struct of the contract how it is read.
func objectOf(t reflect.Type) (*object, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%s is not a struct", t)
	}
	if t.NumField() > 64 {
		return nil, fmt.Errorf("%s has more than 64 fields", t)
	}
	o := &object{fields: make(map[string]field, t.NumField())}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		decode, err := decoderOf(f.Type, name)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
		o.fields[name] = field{index: i, decode: decode}
		if !strings.Contains(options, "omitempty") {
			o.required = append(o.required, name)
		}
	}
	return o, nil
}

// decoderOf returns what reads values of the type in a field of that name.
func decoderOf(t reflect.Type, name string) (decodeFunc, error) {
	switch t {
	case reflect.TypeFor[json.RawMessage]():
		return decodeOpaque, nil
	case reflect.TypeFor[uuid.UUID]():
		return decodeUUID, nil
	case reflect.TypeFor[time.Time]():
		return decodeTime, nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		decode, err := decoderOf(t.Elem(), name)
		if err != nil {
			return nil, err
		}
		return func(s *scanner, v reflect.Value) error {
			v.Set(reflect.New(t.Elem()))
			return decode(s, v.Elem())
		}, nil
	case reflect.Struct:
		o, err := objectOf(t)
		if err != nil {
			return nil, err
		}
		return o.decode, nil
	case reflect.Slice:
		decode, err := decoderOf(t.Elem(), "")
		if err != nil {
			return nil, err
		}
		if most(name) == 0 {
			return nil, fmt.Errorf("nobody says how many entries %s may have", name)
		}
		return arrayOf(decode, most(name)), nil
	case reflect.Map:
		if t != reflect.TypeFor[map[string]string]() && !reflect.TypeFor[map[string]string]().ConvertibleTo(t) {
			return nil, fmt.Errorf("no decoder for %s", t)
		}
		return decodeTexts, nil
	case reflect.String:
		return decodeString, nil
	case reflect.Bool:
		return decodeBool, nil
	case reflect.Int, reflect.Int64:
		return decodeInt, nil
	case reflect.Float64:
		return decodeFloat, nil
	default:
		return nil, fmt.Errorf("no decoder for %s", t)
	}
}

// arrayOf reads arrays whose elements decode reads.
func arrayOf(decode decodeFunc, most int) decodeFunc {
	return func(s *scanner, v reflect.Value) error {
		if err := s.expect('[', "must be an array"); err != nil {
			return err
		}
		if err := s.step(); err != nil {
			return err
		}
		v.Set(reflect.MakeSlice(v.Type(), 0, 1)) // never nil: an empty array is not a missing one
		from := s.json.InputOffset()
		for n := 0; s.json.PeekKind() != ']'; n++ {
			if n == most {
				return s.tooMany(most, "entries")
			}
			s.entries++
			if s.entries > maxEntries {
				return invalid(wholeBatch, fmt.Sprintf("have more than %d dependencies and needs in all", queue.MaxEdges))
			}
			if n == v.Cap() {
				longer := reflect.MakeSlice(v.Type(), n, s.capacity(n, most, from))
				reflect.Copy(longer, v)
				v.Set(longer)
			}
			v.SetLen(n + 1)
			if err := decode(s, v.Index(n)); err != nil {
				return err
			}
		}
		return s.step()
	}
}

// maxFieldName bounds what is repeated to a client of a name that it chose, in bytes.
const maxFieldName = 128

// fieldName writes a pointer the way people do: /error/reason is error.reason, /types/3 is
// types[3].
func fieldName(pointer jsontext.Pointer) string {
	var name strings.Builder
	for token := range pointer.Tokens() {
		if name.Len() > maxFieldName {
			break
		}
		switch {
		case isIndex(token):
			name.WriteString("[" + token + "]")
		case name.Len() > 0:
			name.WriteString("." + token)
		default:
			name.WriteString(token)
		}
	}
	return shorten(name.String())
}

func isIndex(token string) bool {
	for i := range len(token) {
		if !isDigit(token[i]) {
			return false
		}
	}
	return token != ""
}
