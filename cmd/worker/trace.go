package main

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/longshore-queue/longshore/client"
	"github.com/longshore-queue/longshore/internal/tracing"
)

// traced makes a span of each run, in the trace in which its job was created. What the handler calls
// finds that span as its parent.
func traced(tracer trace.Tracer, handle client.Handler) client.Handler {
	if tracer == nil {
		return handle
	}
	return func(ctx context.Context, run *client.Run) (any, error) {
		ctx, span := tracer.Start(tracing.Join(ctx, run.TraceParent), "run "+run.Type,
			trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
				attribute.String("longshore.job.id", run.JobID.String()), attribute.String("longshore.job.type", run.Type),
				attribute.String("longshore.job.channel", run.Channel), attribute.Int64("longshore.job.attempt", run.Attempt),
			))
		defer span.End()
		if span.SpanContext().IsSampled() {
			run.TraceParent = tracing.Parent(ctx)
		}
		result, err := handle(ctx, run)
		if err != nil {
			span.SetStatus(codes.Error, "") // what a command has printed may be secret
		}
		return result, err
	}
}
