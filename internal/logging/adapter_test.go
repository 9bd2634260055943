package logging

import (
	"errors"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
	"github.com/longshore-queue/longshore/internal/queue"
)

var (
	_ queue.SimpleLogger = Adapter{}
	_ client.Logger      = Adapter{}
)

func TestAdapter(t *testing.T) {
	t.Parallel()
	require.Equal(t, map[string]any{"level": "info", "msg": "hello", "a": "1", "b": ""}, logged(t, func(l *logrus.Logger) {
		Adapt(l).Info("hello", "a", "1", "b")
	}))
	require.Equal(t, map[string]any{"level": "error", "msg": "bad", "error": "cause", "a": "1"}, logged(t, func(l *logrus.Logger) {
		Adapt(l).Error(errors.New("cause"), "bad", "a", "1")
	}))
	require.Equal(t, map[string]any{"level": "error", "msg": "bad"}, logged(t, func(l *logrus.Logger) {
		Adapt(l).Error(nil, "bad")
	}))
}
