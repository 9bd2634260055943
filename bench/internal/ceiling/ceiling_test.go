package ceiling

import (
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
)

// What the ceilings say must be what the product says, or they are compared with nothing.
func TestCeilingsAnswerTheSame(t *testing.T) {
	t.Parallel()
	body := jobs.New("recorded").Body()
	want := ask(t, NoStore, body)
	require.Equal(t, http.StatusCreated, want.Code)
	for _, kind := range []string{Edge, Stock, Log, Pebble} {
		got := ask(t, kind, body)
		require.Equal(t, want.Code, got.Code, kind)
		require.Equal(t, want.Body.String(), got.Body.String(), kind)
		require.Len(t, got.Header().Get("X-Request-Id"), 16, kind)
		got.Header().Set("X-Request-Id", want.Header().Get("X-Request-Id"))
		require.Equal(t, want.Header(), got.Header(), kind)
	}
}

func TestEdgeIsTheProducts(t *testing.T) {
	t.Parallel()
	require.Equal(t, http.StatusBadRequest, ask(t, Edge, `{"type":"bench","unknown":1}`).Code, "the product's binder reads the body")
	require.Equal(t, http.StatusCreated, ask(t, Stock, `{"type":"bench","unknown":1}`).Code, "Echo's binder reads the body")
}

// What the ceilings that keep something say they keep is on disk.
func TestWhatKeepsJobsHasThemOnDisk(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{Log, Pebble} {
		directory := t.TempDir()
		q, closeIt, err := openQueue(kind, directory)
		require.NoError(t, err)
		handler, err := newHandler(kind, q, quiet())
		require.NoError(t, err)
		const args = "nothing else has this text"
		require.Equal(t, http.StatusCreated, askOf(t, handler, "/v1/jobs", `{"type":"bench","args":"`+args+`"}`).Code)
		var kept []byte
		require.NoError(t, filepath.WalkDir(directory, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path) //nolint:gosec // the test's own
			kept = append(kept, text...)
			return err
		}))
		require.Contains(t, string(kept), args, kind)
		require.NoError(t, closeIt())
	}
}

func TestUnknownKind(t *testing.T) {
	t.Parallel()
	_, err := newHandler("floor", nothing{}, quiet())
	require.Error(t, err)
}

// What the product said to the first batch is said to any other, and to one that is no batch.
func TestUnreadAnswersWhatTheProductDoes(t *testing.T) {
	t.Parallel()
	body := `{"jobs":[` + jobs.New("recorded").Body() + `,` + jobs.New("other").Body() + `]}`
	product, err := newHandler(NoStore, nothing{}, quiet())
	require.NoError(t, err)
	want := askOf(t, product, "/v1/jobs/batch", body)
	require.Equal(t, http.StatusCreated, want.Code)
	unread, err := newHandler(Unread, nothing{}, quiet())
	require.NoError(t, err)
	for _, body := range []string{body, body, "no JSON"} {
		got := askOf(t, unread, "/v1/jobs/batch", body)
		require.Equal(t, want.Code, got.Code)
		require.Equal(t, want.Body.String(), got.Body.String())
		require.Len(t, got.Header(), len(want.Header()))
	}
}

func ask(t *testing.T, kind, body string) *httptest.ResponseRecorder {
	t.Helper()
	q, closeIt, err := openQueue(kind, t.TempDir())
	require.NoError(t, err)
	defer func() { require.NoError(t, closeIt()) }()
	handler, err := newHandler(kind, q, quiet())
	require.NoError(t, err)
	return askOf(t, handler, "/v1/jobs", body)
}

func askOf(t *testing.T, handler http.Handler, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	handler.ServeHTTP(w, r)
	return w
}

func quiet() *logrus.Logger {
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	return logger
}
