package client_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/longshore-queue/longshore/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// journal is a Logger that keeps what it is told.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) Info(msg string, kv ...string) { j.write(nil, msg, kv) }

func (j *journal) Error(err error, msg string, kv ...string) { j.write(err, msg, kv) }

func (j *journal) write(err error, msg string, kv []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf("%s %v %v %+v", msg, kv, err, err))
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, "\n")
}

// fixture is one worker and its server, in a bubble of virtual time.
type fixture struct {
	t      *testing.T
	server *fakeServer
	worker *client.Worker
	log    *journal
	begun  time.Time
	stop   context.CancelFunc // begins the drain
	done   chan struct{}      // closed when Run has returned err
	err    error
	retry  time.Duration                // Options.RetryTimeout
	trace  func(context.Context) string // Options.TraceParent
	answer int64                        // Options.MaxAnswerBytes
}

// within runs a test in virtual time with a server that the test fills and a worker that the
// test starts. Whatever happens, no log line may hold a token.
func within(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{t: t, server: newFake(), log: &journal{}, begun: time.Now()}
		test(t, f)
		if f.stop != nil {
			f.stop()
			<-f.done
		}
		for _, token := range f.server.tokens() {
			require.NotContains(t, f.log.text(), token, "a token was logged")
		}
	})
}

func (f *fixture) api() *client.Client {
	api, err := client.New("http://queue.test", client.Options{
		HTTPClient: &http.Client{Transport: f.server}, RetryTimeout: f.retry, TraceParent: f.trace, MaxAnswerBytes: f.answer,
	})
	require.NoError(f.t, err)
	return api
}

// start runs a worker that handles jobs of type "t", unless the options say otherwise.
func (f *fixture) start(handle client.Handler, change ...func(*client.WorkerOptions)) {
	options := client.WorkerOptions{Handlers: map[string]client.Handler{"t": handle}, Logger: f.log}
	for _, c := range change {
		c(&options)
	}
	worker, err := client.NewWorker(f.api(), options)
	require.NoError(f.t, err)
	f.worker = worker
	ctx, stop := context.WithCancel(f.t.Context())
	f.stop, f.done = stop, make(chan struct{})
	go func() {
		defer close(f.done)
		f.err = worker.Run(ctx)
	}()
}

// settle waits until every goroutine waits for something.
func (f *fixture) settle() { synctest.Wait() }

// pass lets time pass, and everything that is due then happen.
func (f *fixture) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// since returns when the calls were made, counted from the beginning of the test.
func (f *fixture) since(calls []call) []time.Duration {
	times := make([]time.Duration, len(calls))
	for i, c := range calls {
		times[i] = c.at.Sub(f.begun)
	}
	return times
}

// untilEnd is a handler that works until its context ends, and says why it did.
func untilEnd(causes chan<- error) client.Handler {
	return func(ctx context.Context, _ *client.Run) (any, error) {
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return nil, ctx.Err()
	}
}

// lasting is a handler that works for d, whatever its context says.
func lasting(d time.Duration) client.Handler {
	return func(context.Context, *client.Run) (any, error) {
		time.Sleep(d)
		return "done", nil
	}
}

func seconds(n ...float64) []time.Duration {
	times := make([]time.Duration, len(n))
	for i := range n {
		times[i] = time.Duration(n[i] * float64(time.Second))
	}
	return times
}
