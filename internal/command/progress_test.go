//go:build unix

package command_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
	"github.com/longshore-queue/longshore/internal/command"
)

// observer is the server of a worker that runs one command: a http.RoundTripper that keeps what
// the last heartbeat said, and says when the job was reported on.
type observer struct {
	lease    client.Lease
	asked    atomic.Bool
	last     atomic.Pointer[client.HeartbeatRequest]
	reported chan string
}

func (o *observer) RoundTrip(req *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	recorder.Header().Set("Content-Type", "application/json")
	var answer any = client.Reported{State: client.Failed}
	switch verb := req.URL.Path[strings.LastIndexByte(req.URL.Path, '/')+1:]; verb {
	case "dequeue":
		if o.asked.Swap(true) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		}
		recorder.WriteHeader(http.StatusCreated)
		answer = o.lease
	case "heartbeat":
		beat := &client.HeartbeatRequest{}
		if err := json.NewDecoder(req.Body).Decode(beat); err != nil {
			return nil, err
		}
		if beat.Progress != nil {
			o.last.Store(beat)
		}
		answer = client.HeartbeatAnswer{HeartbeatInSeconds: 40, HeartbeatTimeoutSeconds: 120}
	default:
		o.reported <- verb
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	_, err = recorder.Write(text)
	return recorder.Result(), err
}

// watch runs a command line under a worker, and returns the last progress that the server was
// told, as JSON, and how the job was reported on. The command should fail: then the worker
// tells the progress before it reports.
func watch(t *testing.T, line string) (progress, verb string) {
	t.Helper()
	o := &observer{reported: make(chan string, 1), lease: client.Lease{
		Token: uuid.New(), Id: uuid.New(), Type: "t", Channel: "default", Attempt: 1, Args: json.RawMessage(`null`),
		HeartbeatInSeconds: 40, HeartbeatTimeoutSeconds: 120,
	}}
	api, err := client.New("http://queue.test", client.Options{HTTPClient: &http.Client{Transport: o}})
	require.NoError(t, err)
	runner := command.New(command.Options{Env: environ()})
	worker, err := client.NewWorker(api, client.WorkerOptions{Handlers: map[string]client.Handler{"t": runner.Handler(line)}})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	select {
	case verb = <-o.reported:
	case <-time.After(patience):
		t.Error("nothing is reported")
	}
	stop()
	require.NoError(t, <-ended)
	last := o.last.Load()
	if last == nil {
		return "", verb
	}
	text, err := json.Marshal(last.Progress)
	require.NoError(t, err)
	return string(text), verb
}

func TestTheLinesOfACommandAreItsProgress(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ line, want string }{
		"percent and message":     {`echo "40 page 12 of 30" >"$LONGSHORE_PROGRESS"`, `{"message":"page 12 of 30","percent":40}`},
		"by the descriptor":       {`echo 40 page 12 >&3`, `{"message":"page 12","percent":40}`},
		"percent":                 {`echo 40 >&3`, `{"percent":40}`},
		"a sign and a fraction":   {`echo "  12.5%   nearly there " >&3`, `{"message":"nearly there","percent":12.5}`},
		"a tab":                   {`printf '7\tx\n' >&3`, `{"message":"x","percent":7}`},
		"message":                 {`echo warming up >&3`, `{"message":"warming up"}`},
		"more than all":           {`echo 150 files >&3`, `{"message":"150 files"}`},
		"less than nothing":       {`echo -1 >&3`, `{"message":"-1"}`},
		"no number":               {`echo NaN >&3`, `{"message":"NaN"}`},
		"the newest":              {`for i in 1 2 3; do echo $i of 3 >"$LONGSHORE_PROGRESS"; done`, `{"message":"of 3","percent":3}`},
		"empty lines":             {`echo 1 >&3; echo >&3; echo "  " >&3`, `{"percent":1}`},
		"a line without an end":   {`echo 1 >&3; printf 2 >&3`, `{"percent":2}`},
		"a long line":             {`(printf '5 '; printf '%05000d' 0; echo) >&3`, `{"message":"` + strings.Repeat("0", 1024) + `","percent":5}`},
		"after a long line":       {`(printf '%09000d' 0; echo; echo 6 short) >&3`, `{"message":"short","percent":6}`},
		"no text":                 {`printf '1 a\377b\n' >&3`, `{"message":"a` + "\uFFFD" + `b","percent":1}`},
		"a lot of them":           {`yes 50 | head -n 200000 >&3; echo 51 >&3`, `{"percent":51}`},
		"of a child":              {`sh -c 'echo 9 >"$LONGSHORE_PROGRESS"'`, `{"percent":9}`},
		"nothing":                 {`:`, ``},
		"a descriptor of its own": {`exec 3>/dev/null; echo 9 >&3`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			progress, verb := watch(t, test.line+"; exit 1")
			require.Equal(t, test.want, progress)
			require.Equal(t, "fail", verb)
		})
	}
}

// A process that makes a session of its own lives on, and has the pipe open.
func TestWhoeverHoldsThePipeOfProgressDoesNotHoldUpTheResult(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip(err)
	}
	w := newWitness(t) // it reads this until the test is over
	progress, verb := watch(t, `setsid cat '`+w.path+`' >/dev/null 2>&1 & echo 1 >&3; exit 1`)
	require.JSONEq(t, `{"percent":1}`, progress)
	require.Equal(t, "fail", verb)
}
