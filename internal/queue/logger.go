package queue

// SimpleLogger is all that engines know of logging. keysAndValues are pairs of a field's
// name and its value. An implementation must be safe for concurrent use and must not block
// for long: engines call it on their own goroutines.
type SimpleLogger interface {
	// Info logs what an operator may want to know.
	Info(msg string, keysAndValues ...string)
	// Error logs what an operator must know. err may be nil.
	Error(err error, msg string, keysAndValues ...string)
}

// NopLogger drops everything.
type NopLogger struct{}

// Info drops the message.
func (NopLogger) Info(string, ...string) {}

// Error drops the message.
func (NopLogger) Error(error, string, ...string) {}
