package app

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
)

func TestServerLogHidesTokens(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	logger := logrus.New()
	logger.SetOutput(&text)
	logger.SetFormatter(&logrus.JSONFormatter{})
	_, err := serverLog{logger}.Write([]byte("http: no /v1/leases/5B0B8F6C-8a55-4d1f-9c0e-2a8c3b1f7d10/finish"))
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(text.Bytes(), &fields), text.String())
	delete(fields, "time")
	require.Equal(t, map[string]any{
		"level": "warning", "msg": "http server", "message": "http: no /v1/leases/[redacted]/finish",
	}, fields)
}
