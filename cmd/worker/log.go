package main

import (
	"io"

	"github.com/sirupsen/logrus"
)

// logger makes a client.Logger of a logrus.Logger.
type logger struct{ *logrus.Logger }

// newLogger returns a logger that writes to out. level and format are as the flags have them.
func newLogger(out io.Writer, level, format string) logger {
	l := logrus.New()
	l.SetOutput(out)
	if parsed, err := logrus.ParseLevel(level); err == nil {
		l.SetLevel(parsed)
	}
	if format == "json" {
		l.SetFormatter(&logrus.JSONFormatter{})
	} else {
		l.SetFormatter(&logrus.TextFormatter{FullTimestamp: true})
	}
	return logger{l}
}

// Info logs what an operator may want to know.
func (l logger) Info(msg string, keysAndValues ...string) { l.with(keysAndValues).Info(msg) }

// Error logs what an operator must know. err may be nil.
func (l logger) Error(err error, msg string, keysAndValues ...string) {
	entry := l.with(keysAndValues)
	if err != nil {
		entry = entry.WithError(err)
	}
	entry.Error(msg)
}

func (l logger) with(keysAndValues []string) *logrus.Entry {
	fields := make(logrus.Fields, len(keysAndValues)/2)
	for i := 0; i+1 < len(keysAndValues); i += 2 {
		fields[keysAndValues[i]] = keysAndValues[i+1]
	}
	return l.WithFields(fields)
}

// ended logs how the worker ended and returns the exit code that says so.
func (l logger) ended(err error) int {
	if err != nil {
		l.Error(err, "the worker failed")
		return exitFailed
	}
	l.Info("drained")
	return exitClean
}
