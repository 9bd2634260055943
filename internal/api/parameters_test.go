package api_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
)

// The edge knows the parameters of the contract, each at its operations, and no others: one
// that it does not know is refused where it has to be, and one that it knows is not.
func TestParametersAreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	e := newEdge(t, &stub{}, api.Options{})
	bad := map[string]string{
		"types": ",", "channels": ",", "labels": ",", "type": ",", "channel": ",", "label": "", "queued_from": "x", "queued_before": "x", "order": "x", "fields": "x",
		"state": "x", "limit": "x", "cursor": "x", "wait_seconds": "x", "Idempotency-Key": "a b", "If-Match": "x", "If-None-Match": "x", "Last-Event-ID": "x",
	}
	seen := make(map[string]bool)
	for path, item := range e.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			has := make(map[string]bool)
			for _, parameter := range append(operation.Parameters, item.Parameters...) {
				has[parameter.Value.Name] = true
				seen[parameter.Value.Name] = true
			}
			target := strings.NewReplacer("{id}", testID, "{token}", testID, "{code}", "internal", "{key}", "none").Replace(path)
			for name, value := range bad {
				r := httptest.NewRequest(method, target, http.NoBody)
				query := strings.ToLower(name) == name
				if query {
					r.URL.RawQuery = name + "=" + value
				} else {
					r.Header.Set(name, value)
				}
				got := httptest.NewRecorder()
				e.handler.ServeHTTP(got, r) // the queue has no operations: if it is reached it panics
				named := strings.Contains(got.Body.String(), fmt.Sprintf(`"field":%q`, name))
				unknown := strings.Contains(got.Body.String(), "is not a known parameter")
				if query {
					require.True(t, named, "%s %s: %s", method, target, got.Body)
					require.Equal(t, !has[name], unknown, "%s %s: %s", method, target, got.Body)
				} else {
					require.Equal(t, has[name], named, "%s %s with %s: %s", method, target, name, got.Body)
				}
			}
		}
	}
	for name := range bad {
		require.True(t, seen[name], name)
		delete(seen, name)
	}
	for _, name := range []string{"id", "token", "code", "key", "traceparent"} { // tested elsewhere
		delete(seen, name)
	}
	require.Empty(t, seen, "a parameter that no test knows")
}
