package logging

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/sirupsen/logrus"
)

// lineFormatter writes what logrus.JSONFormatter does, with time, level and message first. A
// line for each request is a good part of what a small request costs, and the formatter of
// logrus, which makes a map of every entry and reflects on it, was most of that.
type lineFormatter struct{}

// Format writes one entry.
func (lineFormatter) Format(entry *logrus.Entry) ([]byte, error) {
	buffer := entry.Buffer
	if buffer == nil {
		buffer = &bytes.Buffer{}
	}
	line := buffer.AvailableBuffer()
	line = append(line, `{"time":"`...)
	line = entry.Time.AppendFormat(line, timestamps)
	line = append(line, `","level":"`...)
	line = append(line, entry.Level.String()...)
	line = append(line, `","msg":`...)
	line = appendString(line, entry.Message)

	var few [16]string
	keys := few[:0]
	for key := range entry.Data {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		line = append(line, ',')
		line = appendString(line, key)
		line = append(line, ':')
		line = appendValue(line, entry.Data[key])
	}
	buffer.Write(append(line, '}', '\n'))
	return buffer.Bytes(), nil
}

func appendValue(line []byte, value any) []byte {
	switch v := value.(type) {
	case string:
		return appendString(line, v)
	case int:
		return strconv.AppendInt(line, int64(v), 10)
	case int64:
		return strconv.AppendInt(line, v, 10)
	case uint64:
		return strconv.AppendUint(line, v, 10)
	case float64:
		if !math.IsInf(v, 0) && !math.IsNaN(v) {
			return strconv.AppendFloat(line, v, 'g', -1, 64)
		}
	case bool:
		return strconv.AppendBool(line, v)
	case error:
		return appendString(line, v.Error())
	case time.Duration:
		return appendString(line, v.String())
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return appendString(line, fmt.Sprint(value)) // a line that is not pretty is better than none
	}
	return append(line, encoded...)
}

// appendString appends a JSON string. Most need no escape at all.
func appendString(line []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			encoded, err := json.Marshal(s)
			if err != nil {
				return append(line, `""`...) // a string always marshals
			}
			return append(line, encoded...)
		}
	}
	line = append(line, '"')
	line = append(line, s...)
	return append(line, '"')
}
