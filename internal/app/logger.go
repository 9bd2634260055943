package app

import (
	"regexp"

	"github.com/sirupsen/logrus"

	"github.com/longshore-queue/longshore/internal/queue"
)

// engineLogger lets engines, which know only queue.SimpleLogger, log through logrus.
type engineLogger struct{ log *logrus.Logger }

var _ queue.SimpleLogger = engineLogger{}

// Info logs at info level.
func (l engineLogger) Info(msg string, keysAndValues ...string) {
	l.log.WithFields(fieldsOf(keysAndValues)).Info(msg)
}

// Error logs at error level. err may be nil.
func (l engineLogger) Error(err error, msg string, keysAndValues ...string) {
	entry := l.log.WithFields(fieldsOf(keysAndValues))
	if err != nil {
		entry = entry.WithError(err)
	}
	entry.Error(msg)
}

// fieldsOf makes fields of pairs. A key that has no value keeps an empty one.
func fieldsOf(keysAndValues []string) logrus.Fields {
	fields := make(logrus.Fields, len(keysAndValues)/2+1)
	for i := 0; i < len(keysAndValues); i += 2 {
		value := ""
		if i+1 < len(keysAndValues) {
			value = keysAndValues[i+1]
		}
		fields[keysAndValues[i]] = value
	}
	return fields
}

// uuids are what might be a token in text that others wrote.
var uuids = regexp.MustCompile(`[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}`)

// serverLog takes what net/http has to say, which is about connections mostly, and hides
// what might be a token in it.
type serverLog struct{ log *logrus.Logger }

// Write logs one message.
func (l serverLog) Write(p []byte) (int, error) {
	l.log.WithField("message", uuids.ReplaceAllString(string(p), "[redacted]")).Warn("http server")
	return len(p), nil
}
