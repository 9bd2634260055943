// Package tracing sends spans to whoever collects them, over OTLP by HTTP, and joins them to traces that
// others have begun.
//
// It makes no spans by itself: internal/api does for requests and cmd/worker for runs, where there is a
// Tracer. Where to send spans, with which headers, and how many of them, is said by the standard variables
// of OpenTelemetry, which its SDK reads.
package tracing

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	// scope is who makes the spans.
	scope = "github.com/longshore-queue/longshore"
	// stopTimeout bounds the sending of what is left at the end.
	stopTimeout = 5 * time.Second
	// headerTraceParent is what W3C calls a trace context.
	headerTraceParent = "traceparent"
)

// Options say what to send and where.
type Options struct {
	Service, Version string
	// Endpoint is the URL to send to; /v1/traces if it has no path. "" is that of the standard variables
	// in Env, and nowhere if they have none either.
	Endpoint string
	Env      []string
	// OnError is told when spans could not be sent.
	OnError func(error)
}

// Tracing sends spans from Start to Stop. A nil one sends none.
type Tracing struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// Start begins to send spans; nil if there is nowhere to send them. It connects to nobody yet.
func Start(ctx context.Context, options Options) (*Tracing, error) {
	var where []otlptracehttp.Option
	switch {
	case hasVariable(options.Env, "OTEL_SDK_DISABLED", "true"):
		return nil, nil //nolint:nilnil // that is one which sends none
	case options.Endpoint != "":
		address, err := url.Parse(options.Endpoint)
		if err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" {
			return nil, fmt.Errorf("must be a URL such as http://127.0.0.1:4318, not %q", options.Endpoint)
		}
		if strings.Trim(address.Path, "/") == "" {
			address.Path = "/v1/traces"
		}
		where = append(where, otlptracehttp.WithEndpointURL(address.String()))
	case !hasVariable(options.Env, "OTEL_EXPORTER_OTLP_ENDPOINT", "") && !hasVariable(options.Env, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ""):
		return nil, nil //nolint:nilnil // see above
	}
	exporter, err := otlptracehttp.New(ctx, where...)
	if err != nil {
		return nil, fmt.Errorf("make the exporter of spans: %w", err)
	}
	return start(ctx, &options, sdk.WithBatcher(noisy{exporter, options.OnError}))
}

func start(ctx context.Context, options *Options, to sdk.TracerProviderOption) (*Tracing, error) {
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", options.Service), attribute.String("service.version", options.Version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv(), // what the environment says goes first
	)
	if err != nil {
		return nil, fmt.Errorf("describe the process: %w", err)
	}
	provider := sdk.NewTracerProvider(to, sdk.WithResource(about)) // the environment says how many are kept
	return &Tracing{provider: provider, tracer: provider.Tracer(scope, trace.WithInstrumentationVersion(options.Version))}, nil
}

// hasVariable reports whether a variable has a value, or, unless that is "", this one.
func hasVariable(env []string, name, value string) bool {
	return slices.ContainsFunc(env, func(entry string) bool {
		found, is, _ := strings.Cut(entry, "=")
		return found == name && is != "" && (value == "" || strings.EqualFold(is, value))
	})
}

// noisy tells when spans could not be sent. The SDK would tell the standard error.
type noisy struct {
	sdk.SpanExporter
	onError func(error)
}

// ExportSpans sends spans.
func (n noisy) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if err := n.SpanExporter.ExportSpans(ctx, spans); err != nil && n.onError != nil {
		n.onError(err)
	}
	return nil
}

// Tracer makes spans; nil if none are sent.
func (t *Tracing) Tracer() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.tracer
}

// Stop sends what is left, as far as that goes in a little while.
func (t *Tracing) Stop(ctx context.Context) error {
	if t == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return t.provider.Shutdown(ctx)
}

// Join returns a context whose next span is in the trace of a traceparent; ctx if that is none.
func Join(ctx context.Context, traceParent string) context.Context {
	if traceParent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{headerTraceParent: traceParent})
}

// Parent returns the traceparent of what the span in ctx is the parent of; "" if there is none.
func Parent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[headerTraceParent]
}
