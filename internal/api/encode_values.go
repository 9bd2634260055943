package api

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// appendOpaque appends a value that was checked when it came in.
func appendOpaque(b []byte, value json.RawMessage) []byte { return append(b, value...) }

// appendOpaqueMember appends a member, after another one, if there is a value.
func appendOpaqueMember(b []byte, name string, value json.RawMessage) []byte {
	if value == nil {
		return b
	}
	return appendOpaque(append(b, name...), value)
}

func appendText(b []byte, text string) []byte {
	// The error says that something was replaced that is not UTF-8, which nothing is.
	b, _ = jsontext.AppendQuote(b, text)
	return b
}

// appendTextMember appends a member, after another one, if there is a text.
func appendTextMember(b []byte, name string, text *string) []byte {
	if text == nil {
		return b
	}
	return appendText(append(b, name...), *text)
}

func appendID(b []byte, id uuid.UUID) []byte {
	return append(appendUUID(append(b, '"'), id), '"')
}

const hexadecimal = "0123456789abcdef"

// appendUUID appends an id without quotes.
func appendUUID(b []byte, id uuid.UUID) []byte {
	for i, octet := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b = append(b, '-')
		}
		b = append(b, hexadecimal[octet>>4], hexadecimal[octet&15])
	}
	return b
}

func appendIDs(b []byte, ids []uuid.UUID) []byte {
	b = append(b, '[')
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendID(b, id)
	}
	return append(b, ']')
}

func appendTime(b []byte, t time.Time) []byte {
	b = append(b, '"')
	b = t.AppendFormat(b, time.RFC3339Nano)
	return append(b, '"')
}

// appendTimeMember appends a member, after another one, if there is a time.
func appendTimeMember(b []byte, name string, t *time.Time) []byte {
	if t == nil {
		return b
	}
	return appendTime(append(b, name...), *t)
}

func appendInt(b []byte, name string, n int64) []byte {
	return strconv.AppendInt(append(b, name...), n, 10)
}

// appendIntMember appends a member, after another one, if there is a number.
func appendIntMember(b []byte, name string, n *int64) []byte {
	if n == nil {
		return b
	}
	return appendInt(b, name, *n)
}

// appendNumber writes a number as encoding/json does: as people write it, unless that would
// be long.
func appendNumber(b []byte, f float64) []byte {
	const small, large = 1e-6, 1e21
	if size := math.Abs(f); size == 0 || size >= small && size < large {
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	b = strconv.AppendFloat(b, f, 'e', -1, 64)
	if n := len(b); b[n-4] == 'e' && b[n-3] == '-' && b[n-2] == '0' {
		b[n-2] = b[n-1] // e-09 is e-9
		b = b[:n-1]
	}
	return b
}

// appendNumberMember appends a member, after another one, if there is a number.
func appendNumberMember(b []byte, name string, f *float64) []byte {
	if f == nil {
		return b
	}
	return appendNumber(append(b, name...), *f)
}

// appendLabels appends the member labels, after another one, if there are any, in the order of
// their names.
func appendLabels(b []byte, labels map[string]string) []byte {
	b = append(b, `,"labels":{`...)
	for i, name := range slices.Sorted(maps.Keys(labels)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, name), ':')
		b = appendText(b, labels[name])
	}
	return append(b, '}')
}
