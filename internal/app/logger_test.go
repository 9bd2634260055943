package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
)

// logged returns the fields of what log writes.
func logged(t *testing.T, log func(*logrus.Logger)) map[string]any {
	t.Helper()
	var text bytes.Buffer
	logger := logrus.New()
	logger.SetOutput(&text)
	logger.SetFormatter(&logrus.JSONFormatter{})
	log(logger)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(text.Bytes(), &fields), text.String())
	delete(fields, "time")
	return fields
}

func TestEngineLogger(t *testing.T) {
	t.Parallel()
	require.Equal(t, map[string]any{"level": "info", "msg": "hello", "a": "1", "b": ""}, logged(t, func(l *logrus.Logger) {
		engineLogger{l}.Info("hello", "a", "1", "b")
	}))
	require.Equal(t, map[string]any{"level": "error", "msg": "bad", "error": "cause", "a": "1"}, logged(t, func(l *logrus.Logger) {
		engineLogger{l}.Error(errors.New("cause"), "bad", "a", "1")
	}))
	require.Equal(t, map[string]any{"level": "error", "msg": "bad"}, logged(t, func(l *logrus.Logger) {
		engineLogger{l}.Error(nil, "bad")
	}))
}

func TestServerLogHidesTokens(t *testing.T) {
	t.Parallel()
	fields := logged(t, func(l *logrus.Logger) {
		_, err := serverLog{l}.Write([]byte("http: no /v1/leases/5B0B8F6C-8a55-4d1f-9c0e-2a8c3b1f7d10/finish"))
		require.NoError(t, err)
	})
	require.Equal(t, map[string]any{
		"level": "warning", "msg": "http server", "message": "http: no /v1/leases/[redacted]/finish",
	}, fields)
}
