package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/queue"
)

// credentials are an authenticator: bearer tokens that stand for principals, and errors for some
// that do not.
type credentials struct {
	principals map[string]*auth.Principal
	errs       map[string]error
}

func (c credentials) Authenticate(r *http.Request) (*auth.Principal, error) {
	token, given := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !given {
		return nil, auth.ErrNoCredential
	}
	if p, good := c.principals[token]; good {
		return p, nil
	}
	if err := c.errs[token]; err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("unknown: %w", auth.ErrBadCredential)
}

// as makes a request that comes from the holder of a token; "" for nobody.
func as(token, method, target, body string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

// contractOperation is an operation as the contract describes who may call it.
type contractOperation struct {
	id, method, path string
	scopes           auth.Scopes
	public           bool
	everywhere       bool
}

// contractOperations are all of the contract's.
func contractOperations(t *testing.T) []contractOperation {
	t.Helper()
	read, err := testContract()
	require.NoError(t, err)
	var all []contractOperation
	for path, item := range read.doc.Paths.Map() {
		for method, op := range item.Operations() {
			one := contractOperation{id: op.OperationID, method: method, path: path}
			names, err := json.Marshal(op.Extensions["x-longshore-scopes"])
			require.NoError(t, err)
			var scopes []string
			require.NoError(t, json.Unmarshal(names, &scopes))
			require.NotNil(t, scopes, "%s has no x-longshore-scopes", one.id)
			if one.public = len(scopes) == 0; !one.public {
				one.scopes, err = auth.ParseScopes(scopes)
				require.NoError(t, err, one.id)
			}
			one.everywhere = op.Extensions["x-longshore-everywhere"] == true
			all = append(all, one)
		}
	}
	require.NotEmpty(t, all)
	return all
}

// target is the path of an operation about something that there is not.
func (o contractOperation) target() string {
	const nobody = "00000000-0000-4000-8000-000000000001"
	path := strings.NewReplacer("{id}", nobody, "{token}", nobody, "{code}", "internal", "{key}", "nothing").Replace(o.path)
	if o.id == "getDemand" {
		path += "?types=resize"
	}
	return path
}

func TestEachOperationNeedsTheScopesThatTheContractNames(t *testing.T) {
	t.Parallel()
	for _, op := range contractOperations(t) {
		t.Run(op.id, func(t *testing.T) {
			t.Parallel()
			known := credentials{principals: map[string]*auth.Principal{}}
			e := newEngineEdge(t, api.Options{Authenticator: known, Backup: func(context.Context, string) (queue.Backup, error) {
				return queue.Backup{}, queue.ErrBackupUnderWay
			}})
			for scopes := range auth.Scopes(16) {
				token := fmt.Sprint(scopes)
				known.principals[token] = &auth.Principal{Name: "test:" + token, Scopes: scopes, Channels: auth.AllChannels()}
				if op.id == "streamEvents" && scopes.Has(op.scopes) {
					continue // has no end
				}
				got := e.do(as(token, op.method, op.target(), ""))
				if op.public || scopes.Has(op.scopes) {
					require.NotContains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, got.status)
					continue
				}
				e.problem(got, 403, "scope-missing", "")
				for _, name := range (op.scopes &^ scopes).Names() {
					require.Contains(t, got.body, "the scope "+name)
				}
			}
		})
	}
}

func TestWhatIsAboutTheServerNeedsACredentialForEveryChannel(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{Authenticator: credentials{principals: map[string]*auth.Principal{
		"some": {Name: "test:some", Scopes: auth.Admin, Channels: auth.SomeChannels("default")},
		"all":  {Name: "test:all", Scopes: auth.Admin, Channels: auth.AllChannels()},
	}}})
	for _, op := range contractOperations(t) {
		if op.everywhere {
			e.problem(e.do(as("some", op.method, op.target(), "")), 403, "channel-forbidden", "")
			require.NotContains(t, e.do(as("all", op.method, op.target(), "")).body, "channel-forbidden")
		}
	}
}

// Whatever is wrong with a credential, the answer is the same to the byte, and nothing of the
// request was read.
func TestBadCredentialIsAnsweredAlikeWhateverIsWrongWithIt(t *testing.T) {
	t.Parallel()
	e := newEdge(t, &stub{}, api.Options{Authenticator: credentials{errs: map[string]error{
		"expired": fmt.Errorf("expired yesterday: %w", auth.ErrBadCredential),
	}}})
	for _, op := range contractOperations(t) {
		if op.public {
			continue
		}
		var first answer
		for i, token := range []string{"", "unknown", "expired"} {
			r := as(token, op.method, op.target()+"?no=such", "{")
			r.Header.Set("X-Request-Id", "same")
			got := e.do(r)
			e.problem(got, 401, "unauthenticated", "")
			require.Equal(t, "Bearer", got.header.Get("WWW-Authenticate"))
			if i == 0 {
				first = got
			}
			require.Equal(t, first, got, "%s with %q", op.id, token)
		}
	}
	require.Contains(t, e.log.String(), "expired yesterday", "the log does not say why")
}

func TestCredentialThatCannotBeCheckedIsUnavailable(t *testing.T) {
	t.Parallel()
	e := newEdge(t, &stub{}, api.Options{Authenticator: credentials{errs: map[string]error{"any": auth.ErrCannotTell}}})
	got := e.do(as("any", "GET", "/v1/jobs", ""))
	e.problem(got, 503, "unavailable", "")
	require.Equal(t, "1", got.header.Get("Retry-After"))
}

func TestAccessLogNamesThePrincipal(t *testing.T) {
	t.Parallel()
	e := newEngineEdge(t, api.Options{Authenticator: credentials{principals: map[string]*auth.Principal{
		"secret": {Name: "test:reader", Scopes: auth.Read, Channels: auth.AllChannels()},
	}}})
	require.Equal(t, 200, e.do(as("secret", "GET", "/v1/jobs", "")).status)
	lines := e.log.lines(t, "request")
	require.Len(t, lines, 1)
	require.Equal(t, "test:reader", lines[0]["principal"])
	require.NotContains(t, e.log.String(), "secret")
}
