package api_test

import (
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
)

// A cursor of names that somebody has made is refused by the edge. PostgreSQL would refuse what is no text as well,
// with an error that is nobody's.
func TestACursorOfNamesThatIsNoTextIsRefusedOnEveryEngine(t *testing.T) {
	t.Parallel()
	onEveryEngine(t, func(t *testing.T, open func() api.Queue) {
		t.Helper()
		e := newEdge(t, open(), api.Options{})
		for _, of := range []struct{ list, word string }{
			{"/v1/queues", " \na\n"}, {"/v1/queues", " \n"}, {"/v1/workers", "workers\n"}, {"/v1/admin/keys", "keys\n"}, {"/v1/admin/keys", ""},
		} {
			for _, bad := range []string{"\x00", "\xff", "a\x00b", "\xed\xa0\x80", "\u0085"} {
				cursor := base64.RawURLEncoding.EncodeToString([]byte("\x03" + of.word + bad))
				e.problem(e.send("GET", of.list+"?cursor="+cursor, ""), 400, "invalid-request", "cursor")
			}
		}
	})
}

func TestACursorOfNamesIsGoodForItsOwnListOnly(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{})
	for _, name := range []string{"a", "b"} {
		e.create(`{"type":"` + name + `"}`)
		require.Equal(t, http.StatusNoContent, e.send("POST", "/v1/dequeue", `{"types":["none"],"worker":"`+name+`"}`).status)
		require.Equal(t, http.StatusCreated, e.send("POST", "/v1/admin/keys", `{"name":"`+name+`","scopes":["read"]}`).status)
	}
	lists := []string{"/v1/queues", "/v1/workers", "/v1/admin/keys", "/v1/jobs"}
	for _, of := range lists {
		cursor := e.send("GET", of+"?limit=1", "").json(t)["next_cursor"].(string)
		for _, list := range lists {
			got := e.send("GET", list+"?cursor="+cursor, "")
			if list == of {
				require.Equal(t, http.StatusOK, got.status, got.body)
			} else {
				e.problem(got, 400, "invalid-request", "cursor")
			}
		}
	}
}
