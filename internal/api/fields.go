package api

import (
	"bytes"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// fieldSet are the properties of a job that an answer is to have; nil for all of them.
type fieldSet map[string]struct{}

// jobFields returns the names of all properties of a job.
func jobFields() fieldSet {
	all := make(fieldSet)
	job := reflect.TypeFor[oapi.Job]()
	for i := range job.NumField() {
		name, _, _ := strings.Cut(job.Field(i).Tag.Get("json"), ",")
		all[name] = struct{}{}
	}
	return all
}

// fieldsOf reads the names of properties, separated by commas. The id is always among them.
func fieldsOf(parameter, text string) (fieldSet, error) {
	names, err := namesOf(parameter, text)
	if err != nil {
		return nil, err
	}
	all, fields := jobFields(), fieldSet{"id": {}}
	for _, name := range names {
		if _, known := all[name]; !known {
			return nil, invalid(parameter, shorten(name)+" is no property of a job")
		}
		fields[name] = struct{}{}
	}
	return fields, nil
}

func (f fieldSet) has(name string) bool {
	_, found := f[name]
	return found
}

// omitted are the parts of a job that need not be read.
func (f fieldSet) omitted() queue.Parts {
	return queue.Parts{
		Args:       !f.has("args"),
		Outcome:    !f.has("result") && !f.has("error"),
		Reported:   !f.has("progress") && !f.has("partial_result"),
		Dependents: !f.has("dependents"),
	}
}

// appendFields appends those members of an object that are in the set.
func appendFields(b, object []byte, fields fieldSet) ([]byte, error) {
	decoder := jsontext.NewDecoder(bytes.NewReader(object), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if _, err := decoder.ReadToken(); err != nil { // {
		return nil, err
	}
	b = append(b, '{')
	for first := true; decoder.PeekKind() != '}'; {
		name, err := decoder.ReadToken()
		if err != nil {
			return nil, err
		}
		key := name.String()
		value, err := decoder.ReadValue()
		if err != nil {
			return nil, err
		}
		if !fields.has(key) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(append(appendText(b, key), ':'), value...)
	}
	return append(b, '}'), nil
}
