package logging

import "github.com/sirupsen/logrus"

// Adapter logs pairs of a field's name and its value through logrus. It is a
// queue.SimpleLogger and a client.Logger, but imports neither: the server is built without
// the client, and the worker without the queue.
type Adapter struct{ log *logrus.Logger }

// Adapt returns a logger of pairs that writes to log.
func Adapt(log *logrus.Logger) Adapter { return Adapter{log} }

// Info logs at info level.
func (l Adapter) Info(msg string, keysAndValues ...string) {
	l.log.WithFields(fieldsOf(keysAndValues)).Info(msg)
}

// Error logs at error level. err may be nil.
func (l Adapter) Error(err error, msg string, keysAndValues ...string) {
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
