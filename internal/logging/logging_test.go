package logging

import (
	"bytes"
	"encoding/json"
	"io"
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

func TestNewRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	_, err := New(io.Discard, "loud", "json")
	require.ErrorContains(t, err, "loud")
	_, err = New(io.Discard, "info", "xml")
	require.ErrorContains(t, err, "xml")
	text, err := New(io.Discard, "info", "text")
	require.NoError(t, err)
	require.IsType(t, &logrus.TextFormatter{}, text.Formatter)
}
