package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

// transport answers requests by a function.
type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) { return t(req) }

// respond makes an answer.
func respond(status int, kind, body string, header ...string) transport {
	return func(*http.Request) (*http.Response, error) {
		resp := &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(strings.NewReader(body))}
		for i := 0; i+1 < len(header); i += 2 {
			resp.Header.Set(header[i], header[i+1])
		}
		return resp, nil
	}
}

func newClient(t *testing.T, answer transport, options ...func(*client.Options)) *client.Client {
	t.Helper()
	// Each request is made once, unless a test says otherwise.
	o := client.Options{HTTPClient: &http.Client{Transport: answer}, RetryTimeout: -1}
	for _, change := range options {
		change(&o)
	}
	c, err := client.New("http://queue.test/base", o)
	require.NoError(t, err)
	return c
}

const problemType = "application/problem+json"

func TestNewRefusesAddressesThatCannotWork(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "queue:8080", "ftp://queue", "http://", "http://queue?a=b", "http://queue#a", "http://secret:secret@%zz"} {
		_, err := client.New(address, client.Options{})
		require.Error(t, err, address)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestSettingsOfTLSThatCannotBeUsedAreNotLeftOut(t *testing.T) { //nolint:paralleltest // http.DefaultTransport is one for all
	usual := http.DefaultTransport
	defer func() { http.DefaultTransport = usual }()
	http.DefaultTransport = respond(http.StatusOK, "application/json", `{"id":"`+uuid.NewString()+`"}`)
	_, err := client.New("https://queue.test", client.Options{TLS: &tls.Config{MinVersion: tls.VersionTLS12}})
	require.ErrorContains(t, err, "HTTPClient")
	api, err := client.New("https://queue.test", client.Options{})
	require.NoError(t, err)
	_, err = api.Job(t.Context(), uuid.New())
	require.NoError(t, err, "what stands there is used")
}

func TestProblemsAreErrors(t *testing.T) {
	t.Parallel()
	c := newClient(t, respond(http.StatusUnprocessableEntity, problemType+"; charset=utf-8",
		`{"type":"/v1/errors/dependency-not-found","title":"T","status":422,"detail":"no such job","code":"dependency-not-found","field":"dependencies[1]","request_id":"r7"}`))
	_, err := c.Enqueue(t.Context(), client.NewJob{Type: "t"})
	var problem *client.Problem
	require.ErrorAs(t, err, &problem)
	require.Equal(t, client.CodeDependencyNotFound, problem.Code)
	require.Equal(t, "dependencies[1]", *problem.Field)
	require.EqualError(t, err, `enqueue a job of type "t": POST /base/v1/jobs: 422 dependency-not-found: no such job (request r7)`)
	require.Zero(t, client.RetryAfter(err))

	_, err = c.API().CreateJobWithResponse(t.Context(), nil, client.NewJob{Type: "t"})
	require.ErrorAs(t, err, &problem, "generated calls give problems too")
}

func TestAnswersOfOthersAreProblemsWithoutACode(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]transport{
		"a page":            respond(http.StatusBadGateway, "text/html", "<html>", "Retry-After", "7", "X-Request-Id", "r1"),
		"a broken document": respond(http.StatusBadGateway, problemType, `{"code":`, "Retry-After", "7", "X-Request-Id", "r1"),
	} {
		_, err := newClient(t, answer).Enqueue(t.Context(), client.NewJob{Type: "t"})
		var problem *client.Problem
		require.ErrorAs(t, err, &problem, name)
		require.Equal(t, http.StatusBadGateway, problem.Status)
		require.Empty(t, problem.Code)
		require.Equal(t, "r1", problem.RequestId)
		require.Equal(t, 7*time.Second, client.RetryAfter(err))
	}
}

func TestErrorsDoNotShowTokens(t *testing.T) {
	t.Parallel()
	token := uuid.New()
	for name, answer := range map[string]transport{
		"network": func(*http.Request) (*http.Response, error) { return nil, errNetwork },
		"a talkative network": func(req *http.Request) (*http.Response, error) {
			return nil, errors.New("cannot reach " + req.URL.String())
		},
		"a talkative title":  respond(http.StatusConflict, problemType, `{"code":"lease-lost","title":"Lease `+token.String()+` is over"}`),
		"a talkative server": respond(http.StatusConflict, problemType, `{"code":"lease-lost","title":"`+token.String()+`","detail":"lease `+token.String()+` is over"}`),
		"a proxy":            respond(http.StatusBadGateway, "text/html", token.String()),
	} {
		_, err := newClient(t, answer).API().HeartbeatWithResponse(t.Context(), token, client.HeartbeatRequest{})
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), token.String(), name)
		require.Contains(t, err.Error(), "/v1/leases/{token}/heartbeat", name)
	}
	_, err := newClient(t, func(*http.Request) (*http.Response, error) { return nil, errNetwork }).API().GetLease(t.Context(), token)
	require.ErrorIs(t, err, errNetwork, "what happened can still be told")
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	requests := 0
	c := newClient(t, func(req *http.Request) (*http.Response, error) {
		requests++
		return respond(http.StatusTemporaryRedirect, "", "", "Location", "http://elsewhere.test/")(req)
	})
	_, err := c.Enqueue(t.Context(), client.NewJob{Type: "t"})
	require.ErrorContains(t, err, "307")
	require.Equal(t, 1, requests)
}

func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	id := uuid.NewString()
	body := `{"id":"` + id + `","type":"t"}`
	bound := func(n int) func(*client.Options) {
		return func(o *client.Options) { o.MaxAnswerBytes = int64(n) }
	}
	answer := respond(http.StatusCreated, "application/json", body)
	job, err := newClient(t, answer, bound(len(body))).Enqueue(t.Context(), client.NewJob{Type: "t"})
	require.NoError(t, err)
	require.Equal(t, id, job.Id.String())
	_, err = newClient(t, answer, bound(len(body)-1)).Enqueue(t.Context(), client.NewJob{Type: "t"})
	require.ErrorIs(t, err, client.ErrAnswerTooLong)
}

// What is returned with the bound's error is counted too: a reader that trusts it must not be
// given a byte that it has no room for, or one past the bound.
func TestABoundedAnswerGivesNotOneByteTooMany(t *testing.T) {
	t.Parallel()
	const bound = 8
	for length := range 2 * bound {
		body := strings.Repeat("x", length)
		answers := map[string]io.Reader{"whole": strings.NewReader(body), "byte by byte": iotest.OneByteReader(strings.NewReader(body))}
		for name, answer := range answers {
			c := newClient(t, func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(answer)}, nil
			}, func(o *client.Options) { o.MaxAnswerBytes = bound })
			resp, err := c.API().GetHealth(t.Context())
			require.NoError(t, err)
			got, err := io.ReadAll(resp.Body)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, body[:min(length, bound)], string(got), "%s, %d bytes", name, length)
			if length <= bound {
				require.NoError(t, err, "%s, %d bytes", name, length)
			} else {
				require.ErrorIs(t, err, client.ErrAnswerTooLong, "%s, %d bytes", name, length)
			}
		}
	}
}

func TestRequestsSayWhoSendsThem(t *testing.T) {
	t.Parallel()
	var agent string
	c := newClient(t, func(req *http.Request) (*http.Response, error) {
		agent = req.UserAgent()
		return nil, errNetwork
	}, func(o *client.Options) { o.UserAgent = "me/1" })
	_, err := c.API().GetHealth(t.Context())
	require.ErrorIs(t, err, errNetwork)
	require.Equal(t, "me/1", agent)
}

func TestAProducerLooksAtItsJobsAndCancelsThem(t *testing.T) {
	t.Parallel()
	id := uuid.New()
	job := `{"id":"` + id.String() + `","type":"t","state":"running","attempt":3}`
	var asked string
	answering := func(answer transport) *client.Client {
		return newClient(t, func(req *http.Request) (*http.Response, error) {
			asked = req.Method + " " + req.URL.Path
			return answer(req)
		})
	}
	got, err := answering(respond(http.StatusOK, "application/json", job)).Job(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "GET /base/v1/jobs/"+id.String(), asked)
	require.Equal(t, client.Running, got.State)
	require.NoError(t, answering(respond(http.StatusOK, "application/json", job)).Cancel(t.Context(), id))
	require.Equal(t, "POST /base/v1/jobs/"+id.String()+"/cancel", asked)

	refused := answering(respond(http.StatusConflict, problemType, `{"code":"job-not-running"}`))
	var problem *client.Problem
	require.ErrorAs(t, refused.Cancel(t.Context(), id), &problem)
	require.Equal(t, client.CodeJobNotRunning, problem.Code)
	_, err = refused.Job(t.Context(), id)
	require.ErrorAs(t, err, &problem)
}

func TestWaitGoesOnUntilTheJobIsOver(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		f.server.faults = faultsOf("job", 2, fault{lost: true})
		job, err := f.api().Enqueue(t.Context(), client.NewJob{Type: "t"})
		require.NoError(t, err)
		go func() {
			time.Sleep(time.Minute)
			f.server.mu.Lock()
			defer f.server.mu.Unlock()
			f.server.jobs[0].state = client.Canceled
		}()
		job, err = f.api().Wait(t.Context(), job.Id)
		require.NoError(t, err)
		require.Equal(t, client.Canceled, job.State)
		require.Less(t, len(f.server.seen("job")), 20, "a server that does not hold back is not flooded")
	})
}

func TestWaitEndsWithItsContextOrWhenThereIsNoSuchJob(t *testing.T) {
	t.Parallel()
	within(t, func(t *testing.T, f *fixture) {
		_, err := f.api().Wait(t.Context(), uuid.New())
		var problem *client.Problem
		require.ErrorAs(t, err, &problem)
		require.Equal(t, client.CodeJobNotFound, problem.Code)
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := newClient(t, func(*http.Request) (*http.Response, error) { return nil, errNetwork }).Wait(ctx, uuid.New())
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// It would be as long the next time, and every time it is fetched.
func TestWaitEndsWhenTheAnswerIsTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		job := `{"id":"` + uuid.NewString() + `","state":"finished","result":"long"}`
		api := newClient(t, respond(http.StatusOK, "application/json", job), func(o *client.Options) { o.MaxAnswerBytes = 10 })
		_, err := api.Wait(ctx, uuid.New())
		require.ErrorIs(t, err, client.ErrAnswerTooLong)
	})
}
