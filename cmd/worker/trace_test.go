package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/longshore-queue/longshore/client"
)

func TestARunIsASpanInTheTraceOfItsJob(t *testing.T) {
	t.Parallel()
	recorder := tracetest.NewSpanRecorder()
	tracer := sdk.NewTracerProvider(sdk.WithSpanProcessor(recorder)).Tracer("")
	found := ""
	handle := traced(tracer, func(_ context.Context, run *client.Run) (any, error) {
		found = run.TraceParent
		return nil, errors.New("planted-output")
	})
	_, err := handle(t.Context(), &client.Run{Type: "t", TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
	require.Error(t, err)
	spans := recorder.Ended()
	require.Len(t, spans, 1)
	require.Equal(t, "run t", spans[0].Name())
	require.Equal(t, "b7ad6b7169203331", spans[0].Parent().SpanID().String())
	require.Equal(t, "00-0af7651916cd43dd8448eb211c80319c-"+spans[0].SpanContext().SpanID().String()+"-01", found)
	require.NotContains(t, fmt.Sprint(spans[0].Attributes(), spans[0].Status()), "planted")
}
