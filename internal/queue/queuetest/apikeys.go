package queuetest

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/queue"
)

// newKey is a key of a name on all channels.
func newKey(id, name string) queue.NewAPIKey {
	return queue.NewAPIKey{ID: id, Name: name, Hash: [32]byte{byte(len(id)), 7}, Scopes: []string{"work"}}
}

func (f *fixture) createKey(t *testing.T, add queue.NewAPIKey) queue.APIKey {
	t.Helper()
	key, err := f.Queue().CreateAPIKey(t.Context(), add)
	require.NoError(t, err)
	return key
}

func (f *fixture) keys(t *testing.T) []queue.APIKey {
	t.Helper()
	page, err := f.Queue().APIKeys(t.Context(), queue.APIKeyListing{Limit: queue.MaxPage})
	require.NoError(t, err)
	require.False(t, page.More)
	require.Equal(t, f.Now(), page.Now)
	return page.Keys
}

var apiKeyTests = map[string]func(*testing.T, *fixture){
	"a key is kept as it was given": func(t *testing.T, f *fixture) {
		require.Empty(t, f.keys(t))
		add := queue.NewAPIKey{
			ID: "b1", Name: "ci@build/1", Scopes: []string{"work", "enqueue", "work"}, Channels: []string{"b", "a", "b"},
			Lifetime: time.Hour, Limits: queue.APIKeyLimits{Rate: 0.25, Waiting: queue.MaxAPIKeyWaiting},
		}
		for i := range add.Hash {
			add.Hash[i] = byte(i * 9)
		}
		got := f.createKey(t, add)
		want := queue.APIKey{
			ID: "b1", Name: "ci@build/1", Hash: add.Hash, Scopes: []string{"enqueue", "work"}, Channels: []string{"a", "b"},
			Created: f.Now(), Expires: f.Now().Add(time.Hour), Limits: add.Limits,
		}
		require.Equal(t, want, got)
		other := f.createKey(t, newKey("a2", "other"))
		require.Nil(t, other.Channels)
		require.Zero(t, other.Expires)
		require.Zero(t, other.Limits)
		require.Equal(t, []queue.APIKey{other, want}, f.keys(t))
		f.Restart(t)
		require.Equal(t, []queue.APIKey{other, want}, f.keys(t))
	},
	"keys are listed in pages, by their ids": func(t *testing.T, f *fixture) {
		for _, id := range []string{"c", "ab", "a", "b", "B"} {
			f.createKey(t, newKey(id, "name-"+id))
		}
		var pages [][]string
		for after, more := "", true; more; {
			page, err := f.Queue().APIKeys(t.Context(), queue.APIKeyListing{After: after, Limit: 2})
			require.NoError(t, err)
			var ids []string
			for i := range page.Keys {
				ids = append(ids, page.Keys[i].ID)
				after = page.Keys[i].ID
			}
			pages, more = append(pages, ids), page.More
		}
		require.Equal(t, [][]string{{"B", "a"}, {"ab", "b"}, {"c"}}, pages)
	},
	"a revoked key is gone": func(t *testing.T, f *fixture) {
		f.createKey(t, newKey("a", "one"))
		f.createKey(t, newKey("b", "one"))
		require.ErrorIs(t, f.Queue().RevokeAPIKey(t.Context(), "c"), queue.ErrNoAPIKey)
		require.NoError(t, f.Queue().RevokeAPIKey(t.Context(), "a"))
		require.ErrorIs(t, f.Queue().RevokeAPIKey(t.Context(), "a"), queue.ErrNoAPIKey)
		f.Restart(t)
		keys := f.keys(t)
		require.Len(t, keys, 1)
		require.Equal(t, "b", keys[0].ID)
	},
	"two keys of a name are good at once, for the same channels": func(t *testing.T, f *fixture) {
		create := func(id string, lifetime time.Duration, channels ...string) error {
			add := newKey(id, "one")
			add.Lifetime, add.Channels = lifetime, channels
			_, err := f.Queue().CreateAPIKey(t.Context(), add)
			return err
		}
		require.NoError(t, create("a", time.Minute, "x", "y"))
		require.ErrorIs(t, create("b", 0), queue.ErrAPIKeyName)
		require.ErrorIs(t, create("b", 0, "x"), queue.ErrAPIKeyName)
		require.NoError(t, create("b", time.Hour, "y", "x"))
		require.ErrorIs(t, create("c", 0, "x", "y"), queue.ErrTwoAPIKeys)
		f.Advance(time.Minute)
		require.Len(t, f.keys(t), 2, "one that has expired is told of")
		require.NoError(t, create("c", 0, "x", "y"))
		keys := f.keys(t)
		require.Len(t, keys, 2, "until another one takes its place")
		require.Equal(t, "b", keys[0].ID)
		require.Equal(t, "c", keys[1].ID)
		require.ErrorIs(t, create("d", 0, "x", "y"), queue.ErrTwoAPIKeys)
		require.NoError(t, f.Queue().RevokeAPIKey(t.Context(), "b"))
		require.NoError(t, create("d", 0, "x", "y"))
	},
	"an id is used once": func(t *testing.T, f *fixture) {
		want := f.createKey(t, newKey("a", "one"))
		for _, name := range []string{"one", "two"} {
			_, err := f.Queue().CreateAPIKey(t.Context(), newKey("a", name))
			require.ErrorIs(t, err, queue.ErrAPIKeyExists)
		}
		require.Equal(t, []queue.APIKey{want}, f.keys(t))
	},
	"of many who make keys of one name at once two succeed": func(t *testing.T, f *fixture) {
		const callers = 8
		failed := make([]error, callers)
		var all sync.WaitGroup
		for i := range failed {
			all.Go(func() {
				_, failed[i] = f.Queue().CreateAPIKey(t.Context(), newKey(fmt.Sprintf("id%d", i), "one"))
			})
		}
		all.Wait()
		made := 0
		for _, err := range failed {
			if err == nil {
				made++
				continue
			}
			require.ErrorIs(t, err, queue.ErrTwoAPIKeys)
		}
		require.Equal(t, 2, made)
		require.Len(t, f.keys(t), 2)
	},
	"what is not valid is refused": func(t *testing.T, f *fixture) {
		for field, spoil := range map[string]func(*queue.NewAPIKey){
			"id":                 func(n *queue.NewAPIKey) { n.ID = "" },
			"name":               func(n *queue.NewAPIKey) { n.Name = "a b" },
			"scopes":             func(n *queue.NewAPIKey) { n.Scopes = nil },
			"scopes[0]":          func(n *queue.NewAPIKey) { n.Scopes = []string{""} },
			"channels[1]":        func(n *queue.NewAPIKey) { n.Channels = []string{"a", "\x00"} },
			"expires_in_seconds": func(n *queue.NewAPIKey) { n.Lifetime = -time.Hour },
			"rate_limit":         func(n *queue.NewAPIKey) { n.Limits.Rate = math.NaN() },
			"max_waiting":        func(n *queue.NewAPIKey) { n.Limits.Waiting = -1 },
		} {
			add := newKey("a", "one")
			spoil(&add)
			_, err := f.Queue().CreateAPIKey(t.Context(), add)
			var invalid *queue.InvalidError
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, field, invalid.Field)
		}
		require.Empty(t, f.keys(t))
	},
	"the last use is noted, and never goes back": func(t *testing.T, f *fixture) {
		f.createKey(t, newKey("a", "one"))
		f.createKey(t, newKey("b", "two"))
		first := f.Now().Add(time.Minute)
		use := func(used map[string]time.Time) { require.NoError(t, f.Queue().UseAPIKeys(t.Context(), used)) }
		use(nil)
		use(map[string]time.Time{"a": first, "gone": first})
		use(map[string]time.Time{"a": first.Add(-time.Second)})
		f.Restart(t)
		keys := f.keys(t)
		require.Len(t, keys, 2)
		require.Equal(t, first, keys[0].LastUsed)
		require.Zero(t, keys[1].LastUsed)
		use(map[string]time.Time{"a": first.Add(time.Second), "b": first})
		keys = f.keys(t)
		require.Equal(t, first.Add(time.Second), keys[0].LastUsed)
		require.Equal(t, first, keys[1].LastUsed)
	},
}
