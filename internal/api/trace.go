package api

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/tracing"
)

// beginSpan begins the span of a request, in the trace that the client is in. It has the route and not
// the path: the paths of leases hold tokens. Jobs that the request creates, and that come from no other
// trace, are created in this span.
func (a *API) beginSpan(c echo.Context) trace.Span {
	r := c.Request()
	parent := ""
	if given := r.Header[headerTraceParent]; len(given) == 1 && validTraceParent(given[0]) {
		parent = given[0]
	}
	op := a.operationOf(c)
	name, attributes := "HTTP", []attribute.KeyValue(nil) // what is in no contract is not repeated
	if op != nil {
		name = r.Method + " " + a.route(c)
		attributes = []attribute.KeyValue{attribute.String("http.request.method", r.Method), attribute.String("http.route", a.route(c))}
	}
	ctx, span := a.options.Tracer.Start(tracing.Join(r.Context(), parent), name,
		trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attributes...))
	if op != nil && op.traced && span.SpanContext().IsSampled() {
		r.Header[headerTraceParent] = []string{tracing.Parent(ctx)}
	}
	c.SetRequest(r.WithContext(ctx))
	return span
}

// endSpan ends the span of a request.
func endSpan(span trace.Span, c echo.Context, answered bool, code string) {
	status := c.Response().Status
	switch {
	case !answered:
		span.SetStatus(codes.Error, "the client was left without a whole answer")
	case status >= http.StatusInternalServerError:
		span.SetStatus(codes.Error, code)
		fallthrough
	default:
		span.SetAttributes(attribute.Int("http.response.status_code", status))
	}
	if code != "" {
		span.SetAttributes(attribute.String("error.type", code))
	}
	span.End()
}

// traceClaims adds to the trace of each job that it was leased, with a link to the request that did it.
func (a *API) traceClaims(ctx context.Context, leases ...queue.Lease) {
	if a.options.Tracer == nil {
		return
	}
	request := trace.Link{SpanContext: trace.SpanContextFromContext(ctx)}
	for i := range leases {
		l := &leases[i]
		if l.TraceParent == "" {
			continue
		}
		_, span := a.options.Tracer.Start(tracing.Join(ctx, l.TraceParent), "claim "+l.Type,
			trace.WithSpanKind(trace.SpanKindProducer), trace.WithLinks(request), trace.WithAttributes(
				attribute.String("longshore.job.id", l.JobID.String()), attribute.String("longshore.job.type", l.Type),
				attribute.String("longshore.job.channel", l.Channel), attribute.Int64("longshore.job.attempt", int64(l.Attempt)), //nolint:gosec // a count
			))
		span.End()
	}
}
