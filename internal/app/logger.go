package app

import (
	"regexp"

	"github.com/sirupsen/logrus"
)

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
