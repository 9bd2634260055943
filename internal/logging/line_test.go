package logging

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
)

// The JSON format says what the one of logrus does.
func TestJSONLines(t *testing.T) {
	t.Parallel()
	var ours, theirs bytes.Buffer
	mine, err := New(&ours, "debug", "json")
	require.NoError(t, err)
	reference := logrus.New()
	reference.SetOutput(&theirs)
	reference.SetFormatter(&logrus.JSONFormatter{TimestampFormat: timestamps})
	reference.SetLevel(logrus.DebugLevel)
	now := time.Date(2026, 11, 23, 16, 0, 0, 123456789, time.UTC)
	fields := logrus.Fields{
		"text": "plain", "quoted": `a "b" \ c`, "control": "a\n\x00\x1b", "unicode": "ä😀\u2028", "broken": "a\xffb",
		"int": -3, "int64": int64(1) << 60, "uint64": uint64(1) << 63, "float": 0.125, "bool": true, "nil": nil,
		"list": []string{"a"}, "key \"quoted\"": 1, "": "",
	}
	for _, logger := range []*logrus.Logger{mine, reference} {
		logger.WithTime(now).WithFields(fields).WithError(errors.New("cause")).Debug("it's <done>\n")
		logger.WithTime(now).Error("")
	}
	decode := func(b *bytes.Buffer) (all []map[string]any) {
		for line := range strings.Lines(b.String()) {
			var one map[string]any
			require.NoError(t, json.Unmarshal([]byte(line), &one), line)
			all = append(all, one)
		}
		return all
	}
	require.Equal(t, decode(&theirs), decode(&ours))
	require.Len(t, decode(&ours), 2)
}

func TestJSONLineOfWhatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	fields := logged(t, func(l *logrus.Logger) {
		l.SetFormatter(lineFormatter{})
		l.WithField("took", time.Second).WithField("odd", []any{func() {}}).Info("x")
	})
	require.Equal(t, "1s", fields["took"])
	require.Contains(t, fields, "msg")
}

func BenchmarkJSONLine(b *testing.B) {
	for name, formatter := range map[string]logrus.Formatter{"ours": lineFormatter{}, "logrus": &logrus.JSONFormatter{}} {
		b.Run(name, func(b *testing.B) {
			logger := logrus.New()
			logger.SetOutput(io.Discard)
			logger.SetFormatter(formatter)
			b.ReportAllocs()
			for b.Loop() {
				logger.WithFields(logrus.Fields{
					"method": "POST", "route": "/v1/jobs", "status": 201, "bytes": int64(321), "duration_ms": 1.234,
					"request_id": "26ee200431b0a9f3", "remote_ip": "127.0.0.1",
				}).Info("request")
			}
		})
	}
}
