package api

import (
	"reflect"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// decodeTexts reads an object whose members are texts of any name, which is what labels are.
func decodeTexts(s *scanner, v reflect.Value) error {
	if err := s.expect('{', "must be an object"); err != nil {
		return err
	}
	if err := s.step(); err != nil {
		return err
	}
	texts := make(map[string]string)
	for s.json.PeekKind() != '}' {
		if len(texts) == queue.MaxLabels {
			return s.tooMany(queue.MaxLabels, "members")
		}
		raw, err := s.text()
		if err != nil {
			return err
		}
		name := s.words.of(raw)
		if err := s.expect('"', "must be a string"); err != nil {
			return err
		}
		value, err := s.text()
		if err != nil {
			return err
		}
		texts[name] = s.words.of(value)
	}
	v.Set(reflect.ValueOf(texts).Convert(v.Type()))
	return s.step()
}

// decodeOpaque takes a value as it is written.
func decodeOpaque(s *scanner, v reflect.Value) error {
	value, err := s.value()
	if err != nil {
		return err
	}
	v.SetBytes(s.keep(value))
	return nil
}

func decodeString(s *scanner, v reflect.Value) error {
	if err := s.expect('"', "must be a string"); err != nil {
		return err
	}
	text, err := s.text()
	if err != nil {
		return err
	}
	v.SetString(s.words.of(text))
	return nil
}

func decodeUUID(s *scanner, v reflect.Value) error {
	const mustBe = "must be a UUID of 36 characters"
	if err := s.expect('"', mustBe); err != nil {
		return err
	}
	text, err := s.text()
	if err != nil {
		return err
	}
	id, ok := parseUUID(text)
	if !ok {
		return s.wrong(mustBe)
	}
	v.Set(reflect.ValueOf(id))
	return nil
}

func decodeTime(s *scanner, v reflect.Value) error {
	const mustBe = "must be a time as RFC 3339 has it, such as 2026-11-17T09:30:00Z"
	if err := s.expect('"', mustBe); err != nil {
		return err
	}
	text, err := s.text()
	if err != nil {
		return err
	}
	t, ok := parseTime(text)
	if !ok {
		return s.wrong(mustBe)
	}
	v.Set(reflect.ValueOf(t))
	return nil
}

// parseTime accepts what RFC 3339 does: package time also takes a comma before a fraction,
// hours of one digit, and offsets of a day and more.
func parseTime(text []byte) (time.Time, bool) {
	const form, offset = "0000-00-00T00:00:00", "+00:00"
	if len(text) <= len(form) || !formed(text[:len(form)], form) {
		return time.Time{}, false
	}
	zone := text[len(form):]
	if zone[0] == '.' {
		digits := 1
		for digits < len(zone) && isDigit(zone[digits]) {
			digits++
		}
		if zone = zone[digits:]; digits == 1 {
			return time.Time{}, false
		}
	}
	if string(zone) != "Z" {
		if len(zone) != len(offset) || zone[0] != '+' && zone[0] != '-' || !formed(zone[1:], offset[1:]) ||
			string(zone[1:3]) > "23" || string(zone[4:]) > "59" {
			return time.Time{}, false
		}
	}
	t, err := time.Parse(time.RFC3339, string(text))
	return t, err == nil
}

// formed reports whether a text has a digit for each 0 of a form, and is like it elsewhere.
func formed(text []byte, form string) bool {
	for i := range len(form) {
		if form[i] == '0' && !isDigit(text[i]) || form[i] != '0' && text[i] != form[i] {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func decodeBool(s *scanner, v reflect.Value) error {
	kind := s.json.PeekKind()
	value, err := s.value()
	if err != nil {
		return err
	}
	if kind != jsontext.KindTrue && kind != jsontext.KindFalse {
		return s.wrong("must be true or false")
	}
	v.SetBool(len(value) == len("true"))
	return nil
}

func decodeInt(s *scanner, v reflect.Value) error {
	n, err := s.integer("must be an integer")
	if err != nil {
		return err
	}
	if v.OverflowInt(n) {
		return s.wrong(mustBeInteger)
	}
	v.SetInt(n)
	return nil
}

func decodeFloat(s *scanner, v reflect.Value) error {
	f, err := s.float("must be a number")
	if err != nil {
		return err
	}
	v.SetFloat(f)
	return nil
}

// parseUUID accepts the usual form alone, hexadecimal digits in groups of 8-4-4-4-12:
// uuid.Parse also takes URNs, braces, and digits without dashes.
func parseUUID[T string | []byte](text T) (uuid.UUID, bool) {
	if len(text) != 36 {
		return uuid.UUID{}, false
	}
	id, err := uuid.ParseBytes([]byte(text))
	return id, err == nil
}
