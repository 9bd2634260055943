package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// The types of the contract are generated, so they say by their shape what a body must look
// like: a field without omitempty is required, a json.RawMessage is opaque and may be null,
// nothing else may. encoding/json does not look at it that way: it takes null for anything,
// names in any case, names twice, and keeps quiet about what is missing. The decoder here
// holds a body to the shape, and names the field that breaks it.

// object is how a struct of the contract is read.
type object struct {
	fields   map[string]field
	required []string // names, in the order of the struct
}

type field struct {
	index  int
	decode decodeFunc
}

// decodeFunc reads the next value of the decoder into v.
type decodeFunc func(d *jsontext.Decoder, v reflect.Value) error

// decode reads one object, and nothing after it.
func decode(d *jsontext.Decoder, o *object, v reflect.Value) error {
	if err := o.decode(d, v); err != nil {
		return err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return &requestError{
			code:   codeInvalidJSON,
			detail: fmt.Sprintf("there is more than one JSON value: see byte %d", d.InputOffset()),
		}
	}
	return nil
}

func (o *object) decode(d *jsontext.Decoder, v reflect.Value) error {
	if err := expect(d, '{', "must be an object"); err != nil {
		return err
	}
	if _, err := d.ReadToken(); err != nil {
		return syntaxError(d, err)
	}
	at := d.StackPointer()
	var seen uint64 // bit i: the field of index i
	for d.PeekKind() != '}' {
		name, err := readString(d)
		if err != nil {
			return err
		}
		field, known := o.fields[name]
		if !known {
			return wrong(d, "is not a known field")
		}
		seen |= 1 << field.index
		if err := field.decode(d, v.Field(field.index)); err != nil {
			return err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return syntaxError(d, err)
	}
	for _, name := range o.required {
		if seen&(1<<o.fields[name].index) == 0 {
			return invalid(fieldName(at.AppendToken(name)), "is required")
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
		decode, err := decoderOf(f.Type)
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

func decoderOf(t reflect.Type) (decodeFunc, error) {
	switch t {
	case reflect.TypeFor[json.RawMessage]():
		return decodeOpaque, nil
	case reflect.TypeFor[uuid.UUID]():
		return decodeUUID, nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		decode, err := decoderOf(t.Elem())
		if err != nil {
			return nil, err
		}
		return func(d *jsontext.Decoder, v reflect.Value) error {
			v.Set(reflect.New(t.Elem()))
			return decode(d, v.Elem())
		}, nil
	case reflect.Struct:
		o, err := objectOf(t)
		if err != nil {
			return nil, err
		}
		return o.decode, nil
	case reflect.Slice:
		decode, err := decoderOf(t.Elem())
		if err != nil {
			return nil, err
		}
		return arrayOf(decode), nil
	case reflect.String:
		return decodeString, nil
	case reflect.Int, reflect.Int64:
		return decodeInt, nil
	case reflect.Float64:
		return decodeFloat, nil
	default:
		return nil, fmt.Errorf("no decoder for %s", t)
	}
}

// decodeOpaque copies a value as it is written: the buffer belongs to the next request.
func decodeOpaque(d *jsontext.Decoder, v reflect.Value) error {
	value, err := d.ReadValue()
	if err != nil {
		return syntaxError(d, err)
	}
	v.SetBytes([]byte(value.Clone()))
	return nil
}

func decodeString(d *jsontext.Decoder, v reflect.Value) error {
	if err := expect(d, '"', "must be a string"); err != nil {
		return err
	}
	s, err := readString(d)
	if err != nil {
		return err
	}
	v.SetString(s)
	return nil
}

func decodeUUID(d *jsontext.Decoder, v reflect.Value) error {
	const mustBe = "must be a UUID of 36 characters"
	if err := expect(d, '"', mustBe); err != nil {
		return err
	}
	s, err := readString(d)
	if err != nil {
		return err
	}
	id, ok := parseUUID(s)
	if !ok {
		return wrong(d, mustBe)
	}
	v.Set(reflect.ValueOf(id))
	return nil
}

func decodeInt(d *jsontext.Decoder, v reflect.Value) error {
	text, err := readNumber(d, "must be an integer")
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v.OverflowInt(n) {
		return wrong(d, "must be an integer of at most 64 bits, without fraction and exponent")
	}
	v.SetInt(n)
	return nil
}

func decodeFloat(d *jsontext.Decoder, v reflect.Value) error {
	text, err := readNumber(d, "must be a number")
	if err != nil {
		return err
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return wrong(d, "is out of range")
	}
	v.SetFloat(f)
	return nil
}

// arrayOf reads arrays whose elements decode reads.
func arrayOf(decode decodeFunc) decodeFunc {
	return func(d *jsontext.Decoder, v reflect.Value) error {
		if err := expect(d, '[', "must be an array"); err != nil {
			return err
		}
		if _, err := d.ReadToken(); err != nil {
			return syntaxError(d, err)
		}
		v.Set(reflect.MakeSlice(v.Type(), 0, 1)) // never nil: an empty array is not a missing one
		for d.PeekKind() != ']' {
			n := v.Len()
			v.Grow(1)
			v.SetLen(n + 1)
			if err := decode(d, v.Index(n)); err != nil {
				return err
			}
		}
		if _, err := d.ReadToken(); err != nil {
			return syntaxError(d, err)
		}
		return nil
	}
}

// expect checks the kind of the next value. When it is another one, the value is read to
// learn whether it is JSON at all, and to have the decoder point at it.
func expect(d *jsontext.Decoder, kind jsontext.Kind, mustBe string) error {
	if d.PeekKind() == kind {
		return nil
	}
	if _, err := d.ReadValue(); err != nil {
		return syntaxError(d, err)
	}
	return wrong(d, mustBe)
}

// readString reads a string of the contract, such as a name: unlike an opaque value it must
// be sound text.
func readString(d *jsontext.Decoder) (string, error) {
	value, err := d.ReadValue()
	if err != nil {
		return "", syntaxError(d, err)
	}
	text, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return "", wrong(d, "holds an escape that is not a character")
	}
	return string(text), nil
}

func readNumber(d *jsontext.Decoder, mustBe string) (string, error) {
	if err := expect(d, '0', mustBe); err != nil {
		return "", err
	}
	value, err := d.ReadValue()
	if err != nil {
		return "", syntaxError(d, err)
	}
	return string(value), nil
}

// wrong is an invalid-request about the value that was read last.
func wrong(d *jsontext.Decoder, reason string) error {
	name := fieldName(d.StackPointer())
	if name == "" {
		return &requestError{code: codeInvalidRequest, detail: "the body " + reason}
	}
	return invalid(name, reason)
}

// syntaxError turns what the decoder says into what a client is told.
func syntaxError(d *jsontext.Decoder, err error) error {
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		if errors.Is(syntax.Err, jsontext.ErrDuplicateName) {
			return invalid(fieldName(syntax.JSONPointer), "is there twice")
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			return &requestError{code: codeInvalidJSON, detail: fmt.Sprintf("the body is not valid JSON: see byte %d", syntax.ByteOffset)}
		}
	}
	return &requestError{code: codeInvalidJSON, detail: fmt.Sprintf("the body ends in the middle of a JSON value, after byte %d", d.InputOffset())}
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
		if token[i] < '0' || token[i] > '9' {
			return false
		}
	}
	return token != ""
}

// parseUUID accepts the usual form alone, hexadecimal digits in groups of 8-4-4-4-12:
// uuid.Parse also takes URNs, braces, and digits without dashes.
func parseUUID(s string) (uuid.UUID, bool) {
	if len(s) != 36 {
		return uuid.UUID{}, false
	}
	id, err := uuid.Parse(s)
	return id, err == nil
}
