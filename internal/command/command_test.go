//go:build unix

package command_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/longshore-queue/longshore/client"
	"github.com/longshore-queue/longshore/internal/command"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// environ is what commands need to find their programs.
func environ(more ...string) []string { return append([]string{"PATH=" + os.Getenv("PATH")}, more...) }

func newRun(args string) *client.Run {
	return &client.Run{JobID: uuid.Must(uuid.NewV7()), Type: "t", Channel: "acme", Attempt: 3, Args: json.RawMessage(args)}
}

// do runs a command line with a Runner of its own.
func do(t *testing.T, options command.Options, line, args string) (json.RawMessage, error) {
	t.Helper()
	if options.Env == nil {
		options.Env = environ()
	}
	result, err := command.New(options).Handler(line)(t.Context(), newRun(args))
	if err != nil {
		return nil, err
	}
	raw, ok := result.(json.RawMessage)
	require.True(t, ok, "a result of type %T", result)
	return raw, nil
}

// failed returns the reason and the details of a failure, as they would be on the wire.
func failed(t *testing.T, err error) (string, map[string]any) {
	t.Helper()
	var failure *client.Failure
	require.ErrorAs(t, err, &failure)
	text, err := json.Marshal(failure.Details)
	require.NoError(t, err)
	var details map[string]any
	require.NoError(t, json.Unmarshal(text, &details))
	return failure.Reason, details
}

func TestTheOutputIsTheResult(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ line, want string }{
		"a number":               {`echo 12`, `12`},
		"an object, as it is":    {`printf '\n{"b": 1, "a": "<&>\\u0000"} \n'`, `{"b": 1, "a": "<&>\u0000"}`},
		"text":                   {`echo 'a <b> & "c"'`, `"a <b> & \"c\"\n"`},
		"two values":             {`echo 1 2`, `"1 2\n"`},
		"nothing":                {`true`, `""`},
		"null":                   {`echo null`, `null`},
		"bytes that are no text": {`printf 'a\377\376b\000'`, `"a` + "\uFFFD" + `b\u0000"`},
		"JSON but for its text":  {`printf '"\377"'`, `"\"` + "\uFFFD" + `\""`},
		"only the output":        {`echo 1; echo 2 >&2`, `1`},
		"what it was given":      {`cat`, `{"n":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := do(t, command.Options{}, test.line, `{"n":1}`)
			require.NoError(t, err)
			require.Equal(t, test.want, string(got))
		})
	}
}

func TestTheEnvironmentTellsAboutTheJob(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run := newRun(`null`)
	run.Dependencies = []client.Dependency{
		{Id: uuid.New(), Name: new("left"), Type: "d", State: client.Finished, Result: json.RawMessage(`{"big":12345678901234567890}`)},
		{Id: uuid.New(), Type: "d", State: client.Failed, Error: &client.JobError{Reason: "no"}},
	}
	line := `printf '{"id":"%s","type":"%s","channel":"%s","attempt":%s,"mode":"%s","own":"%s","dependencies":%s}' \
		"$LONGSHORE_JOB_ID" "$LONGSHORE_JOB_TYPE" "$LONGSHORE_JOB_CHANNEL" "$LONGSHORE_ATTEMPT" \
		"$(ls -l "$LONGSHORE_DEPENDENCIES" | cut -c1-10)" "$OWN" "$(cat "$LONGSHORE_DEPENDENCIES")"`
	runner := command.New(command.Options{TempDir: dir, Env: environ("OWN=mine", "LONGSHORE_ATTEMPT=99")})
	result, err := runner.Handler(line)(t.Context(), run)
	require.NoError(t, err)
	want, err := json.Marshal(map[string]any{
		"id": run.JobID, "type": "t", "channel": "acme", "attempt": 3, "mode": "-rw-------", "own": "mine",
		"dependencies": run.Dependencies,
	})
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(result.(json.RawMessage)))
	require.Contains(t, string(result.(json.RawMessage)), `12345678901234567890`)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "the file of the dependencies is removed")
}

func TestWithoutDependenciesTheirFileHoldsAnEmptyArray(t *testing.T) {
	t.Parallel()
	got, err := do(t, command.Options{}, `cat "$LONGSHORE_DEPENDENCIES"`, `null`)
	require.NoError(t, err)
	require.Equal(t, `[]`, string(got))
}

func TestANonZeroExitIsAFailureWithTheEndOfTheErrors(t *testing.T) {
	t.Parallel()
	_, err := do(t, command.Options{StderrBytes: 10}, `echo ignored; echo 0123456789abcdef >&2; echo é >&2; exit 7`, `null`)
	reason, details := failed(t, err)
	require.Equal(t, "exit-code", reason)
	require.Equal(t, map[string]any{"exit_code": 7.0, "stderr": "abcdef\né\n"}, details)

	_, err = do(t, command.Options{StderrBytes: 2}, `echo é >&2; exit 1`, `null`)
	_, details = failed(t, err)
	require.Equal(t, "\n", details["stderr"], "half a character is dropped")
}

// 75 is EX_TEMPFAIL of sysexits.h.
func TestOneExitCodeSaysThatAnotherRunMaySucceed(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]bool{"75": true, "1": false, "74": false, "76": false} {
		_, err := do(t, command.Options{}, `exit `+code, `null`)
		var failure *client.Failure
		require.ErrorAs(t, err, &failure)
		require.Equal(t, "exit-code", failure.Reason)
		require.Equal(t, want, failure.Retryable, code)
		require.Zero(t, failure.RetryAfter, "the job's own policy counts")
	}
}

func TestTheTraceContextOfTheJobIsThatOfTheCommand(t *testing.T) {
	t.Parallel()
	const own, trace = "00-11111111111111111111111111111111-1111111111111111-01", "00-22222222222222222222222222222222-2222222222222222-01"
	for given, want := range map[string]string{trace: trace, "": own} {
		run := newRun(`null`)
		run.TraceParent = given
		runner := command.New(command.Options{Env: environ("TRACEPARENT=" + own)})
		result, err := runner.Handler(`printf "$TRACEPARENT"`)(t.Context(), run)
		require.NoError(t, err)
		require.JSONEq(t, `"`+want+`"`, string(result.(json.RawMessage)))
	}
}

func TestACommandThatIsNotThereIsAFailureOfTheShell(t *testing.T) {
	t.Parallel()
	_, err := do(t, command.Options{}, `no-such-program-at-all`, `null`)
	reason, details := failed(t, err)
	require.Equal(t, "exit-code", reason)
	require.InDelta(t, 127, details["exit_code"], 0)
}

// All jobs would have failed there before another machine could run them.
func TestAMachineThatStartsNothingTakesItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		runner := command.New(command.Options{TempDir: "/nonexistent"})
		handle := runner.Handler("true")
		var slots errgroup.Group
		for range 3 {
			slots.Go(func() error {
				_, err := handle(t.Context(), newRun(`null`))
				return err
			})
		}
		require.Error(t, slots.Wait())
		require.Equal(t, 3*time.Second, time.Since(began), "one a second, however many slots there are")

		began = time.Now()

		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := handle(ctx, newRun(`null`))
		require.Error(t, err)
		require.Equal(t, time.Millisecond, time.Since(began), "it holds up no end")

		began = time.Now()
		for range 2 {
			slots.Go(func() error {
				_, err := handle(t.Context(), newRun(`null`))
				return err
			})
		}
		synctest.Wait()
		runner.Kill()
		require.Error(t, slots.Wait())
		require.Zero(t, time.Since(began), "nor the end of the worker")
	})
}

func TestASignalThatEndsACommandIsAFailure(t *testing.T) {
	t.Parallel()
	_, err := do(t, command.Options{}, `echo why >&2; kill -9 $$`, `null`)
	reason, details := failed(t, err)
	require.Equal(t, "signal", reason)
	require.Equal(t, map[string]any{"signal": 9.0, "name": "killed", "stderr": "why\n"}, details)
}

func TestWhatCannotBeStartedIsAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the failure is kept back for a while
		_, err := do(t, command.Options{}, "a\x00b", `null`)
		reason, _ := failed(t, err)
		require.Equal(t, "start-failed", reason)

		_, err = do(t, command.Options{TempDir: "/nonexistent"}, "true", `null`)
		reason, details := failed(t, err)
		require.Equal(t, "start-failed", reason)
		require.Contains(t, details["message"], "results of dependencies")
		var failure *client.Failure
		require.ErrorAs(t, err, &failure)
		require.True(t, failure.Retryable, "a full disk is this machine's, and not the job's")
	})
}

func TestACommandNeedNotReadItsInput(t *testing.T) {
	t.Parallel()
	args := `"` + strings.Repeat("x", 1<<20) + `"` // more than a pipe holds
	for _, line := range []string{`echo 1`, `exec <&-; echo 1`, `head -c 10 >/dev/null; echo 1`} {
		got, err := do(t, command.Options{}, line, args)
		require.NoError(t, err, line)
		require.Equal(t, `1`, string(got), line)
	}
}

func TestTooMuchOutputIsAFailure(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"without an end":       `echo why >&2; yes`,
		"at once":              `echo why >&2; printf '%01001d' 0`,
		"only when it is JSON": `echo why >&2; printf '%0300d' 0 | tr 0 '\001'`, // \u0001 each
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := do(t, command.Options{MaxOutputBytes: 1000}, line, `null`)
			reason, details := failed(t, err)
			require.Equal(t, "output-too-large", reason)
			require.Equal(t, map[string]any{"limit_bytes": 1000.0, "stderr": "why\n"}, details)
		})
	}
	got, err := do(t, command.Options{MaxOutputBytes: 1000}, `printf '1%0999d' 0`, `null`)
	require.NoError(t, err, "as much as is allowed")
	require.Len(t, got, 1000)
}

func TestALotOfErrorsIsNoFailure(t *testing.T) {
	t.Parallel()
	got, err := do(t, command.Options{}, `yes | head -c 3000000 >&2; echo 1`, `null`)
	require.NoError(t, err)
	require.Equal(t, `1`, string(got))
}

func TestAContextThatIsOverEndsTheCommand(t *testing.T) {
	t.Parallel()
	why := errors.New("why")
	ctx, end := context.WithCancelCause(t.Context())
	end(why)
	_, err := command.New(command.Options{Env: environ()}).Handler(`sleep 1000`)(ctx, newRun(`null`))
	require.ErrorIs(t, err, why)
	var failure *client.Failure
	require.NotErrorAs(t, err, &failure)
}
