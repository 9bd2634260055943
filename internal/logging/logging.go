// Package logging makes the logger of a program, and lends it to the packages that know no
// logrus: to engines as a queue.SimpleLogger, to the worker's loop as a client.Logger.
//
// It does not say what is worth a line, and it redacts nothing: whoever logs knows what is
// secret.
package logging

import (
	"fmt"
	"io"

	"github.com/sirupsen/logrus"
)

// timestamps is how times are logged: RFC 3339 with milliseconds.
const timestamps = "2006-01-02T15:04:05.000Z07:00"

// New returns a logger that writes to out, from the level on. format is "json", a line
// of JSON for each entry, or "text", for people. Out is not written to concurrently.
func New(out io.Writer, level, format string) (*logrus.Logger, error) {
	parsed, err := logrus.ParseLevel(level)
	if err != nil {
		return nil, err
	}
	logger := logrus.New()
	logger.SetOutput(out)
	logger.SetLevel(parsed)
	switch format {
	case "json":
		logger.SetFormatter(lineFormatter{})
	case "text":
		logger.SetFormatter(&logrus.TextFormatter{FullTimestamp: true, TimestampFormat: timestamps})
	default:
		return nil, fmt.Errorf("%q is not a format of logs", format)
	}
	return logger, nil
}
