package api_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/queue"
)

const producersTrace, producersSpan = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

// traceRequests sends requests to an API with a tracer, and returns their spans.
func traceRequests(t *testing.T, q api.Queue, requests ...[2]string) []sdk.ReadOnlySpan {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	handler, err := api.New(q, api.Options{Tracer: sdk.NewTracerProvider(sdk.WithSpanProcessor(recorder)).Tracer("")})
	require.NoError(t, err)
	for _, one := range requests {
		method, target, _ := strings.Cut(one[0], " ")
		r := httptest.NewRequest(method, target, strings.NewReader(one[1]))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer planted-secret")
		if method == "POST" {
			r.Header.Set("Traceparent", "00-"+producersTrace+"-"+producersSpan+"-01")
		}
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	return recorder.Ended()
}

func TestJobsAreCreatedInTheSpanOfTheirRequestInTheProducersTrace(t *testing.T) {
	t.Parallel()
	var created []queue.NewJob
	q := &stub{enqueue: func(_ context.Context, jobs []queue.NewJob) ([]queue.Enqueued, error) {
		created = append(created, jobs...)
		return enqueued(queue.Status{ID: uuid.New(), Type: "t", Channel: "default", State: queue.Pending}), nil
	}}
	own := "00-11111111111111111111111111111111-2222222222222222-01"
	spans := traceRequests(t, q, [2]string{"POST /v1/jobs", `{"type":"t"}`}, [2]string{"POST /v1/jobs", `{"type":"t","traceparent":"` + own + `"}`})
	require.Len(t, spans, 2)
	require.Equal(t, "POST /v1/jobs", spans[0].Name())
	require.Equal(t, producersSpan, spans[0].Parent().SpanID().String())
	require.Equal(t, producersTrace, spans[0].SpanContext().TraceID().String())
	require.Equal(t, "00-"+producersTrace+"-"+spans[0].SpanContext().SpanID().String()+"-01", created[0].TraceParent)
	require.Equal(t, own, created[1].TraceParent, "a job with a trace of its own stays there")
}

func TestAClaimIsInTheTraceOfItsJobAndTellsWhichRequestMadeIt(t *testing.T) {
	t.Parallel()
	lease := testLease()
	lease.TraceParent = "00-" + producersTrace + "-" + producersSpan + "-01"
	q := &stub{dequeue: func(context.Context, queue.DequeueRequest) (queue.Lease, error) { return lease, nil }}
	spans := traceRequests(t, q, [2]string{"POST /v1/dequeue", `{"types":["t"]}`})
	require.Len(t, spans, 2)
	claim, request := spans[0], spans[1]
	require.Equal(t, "claim "+lease.Type, claim.Name())
	require.Equal(t, producersTrace, claim.SpanContext().TraceID().String())
	require.Equal(t, producersSpan, claim.Parent().SpanID().String())
	require.Equal(t, request.SpanContext().SpanID(), claim.Links()[0].SpanContext.SpanID())
	require.NotContains(t, fmt.Sprint(claim.Attributes(), request.Attributes()), lease.Token.String())
}

func TestSpansHaveNoSecrets(t *testing.T) {
	t.Parallel()
	token := uuid.NewString()
	spans := traceRequests(t, &stub{report: func(context.Context, uuid.UUID, uint64, queue.Outcome) (queue.State, error) {
		return 0, queue.ErrLeaseLost
	}}, [2]string{"POST /v1/leases/" + token + "/finish", `{"result":"planted-result"}`},
		[2]string{"PLANTED /v1/leases/" + token, ""}, [2]string{"GET /planted/" + token + "?planted=1", ""})
	require.Len(t, spans, 3)
	require.Equal(t, "POST /v1/leases/{token}/finish", spans[0].Name())
	require.Contains(t, fmt.Sprint(spans[0].Attributes()), "lease-lost")
	for _, span := range spans {
		text := strings.ToLower(fmt.Sprint(span.Name(), span.Attributes(), span.Status(), span.Events(), span.Links()))
		require.NotContains(t, text, token)
		require.NotContains(t, text, "planted")
	}
}
