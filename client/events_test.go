package client_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
)

// silentBody is a stream on which nothing comes any more: until the request ends.
type silentBody struct{ ctx context.Context }

func (b silentBody) Read([]byte) (int, error) { <-b.ctx.Done(); return 0, b.ctx.Err() }

// A server tells every 15 s that a stream goes on.
func TestAStreamOfEventsThatHasFallenSilentIsReplaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const event = "id: 1\nevent: job\ndata: {}\n\n"
		begun := time.Now()
		var after []string
		api := newClient(t, func(req *http.Request) (*http.Response, error) {
			after = append(after, req.Header.Get("Last-Event-ID"))
			switch len(after) {
			case 1: // one that lives takes no harm
				alive, writer := io.Pipe()
				go func() {
					for range 10 {
						_, _ = io.WriteString(writer, ": still here\n\n")
						time.Sleep(15 * time.Second)
					}
					_, _ = io.WriteString(writer, event)
					<-req.Context().Done()
					_ = writer.Close()
				}()
				return &http.Response{StatusCode: http.StatusOK, Body: alive}, nil
			case 2: // not even the head of an answer comes
				<-req.Context().Done()
				return nil, req.Context().Err()
			default:
				body := io.MultiReader(strings.NewReader(event), silentBody{req.Context()})
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(body)}, nil
			}
		})
		seen := 0
		for _, err := range api.Events(t.Context(), client.StreamEventsParams{}) {
			require.NoError(t, err)
			seen++
			if seen == 3 {
				break
			}
			time.Sleep(10 * time.Minute) // who watches may take its time
		}
		require.Equal(t, []string{"", "1", "1", "1"}, after)
		require.Less(t, time.Since(begun), 25*time.Minute)
	})
}

// What happened while nobody listened is nowhere else.
func TestAStreamThatBreaksBeforeAnyEventMissesNothingUnnoticed(t *testing.T) {
	t.Parallel()
	const event = "id: 7\nevent: job\ndata: {}\n\n"
	for name, c := range map[string]struct {
		begins string
		after  string
		kinds  []string
	}{
		"the server tells where it begins": {"retry: 1000\nid: 5\n\n", "5", []string{client.EventJob}},
		"it does not":                      {"retry: 1000\n\n", "", []string{client.EventMissed, client.EventJob}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var after []string
				api := newClient(t, func(req *http.Request) (*http.Response, error) {
					after = append(after, req.Header.Get("Last-Event-ID"))
					switch len(after) {
					case 2: // nothing was missed by a request that nobody answers
						return nil, errNetwork
					case 1:
						return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(c.begins))}, nil
					default:
						body := io.MultiReader(strings.NewReader(c.begins+event), silentBody{req.Context()})
						return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(body)}, nil
					}
				})
				var kinds []string
				for e, err := range api.Events(t.Context(), client.StreamEventsParams{}) {
					require.NoError(t, err)
					if kinds = append(kinds, e.Kind); e.Kind == client.EventJob {
						break
					}
				}
				require.Equal(t, c.kinds, kinds)
				require.Equal(t, []string{"", c.after, c.after}, after)
			})
		})
	}
}
