package app_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptrace"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/app"
	"github.com/longshore-queue/longshore/internal/tlsfiles/tlstest"
)

// secure is a server that speaks TLS, and what a client needs to reach it.
type secure struct {
	*server
	ca  *tlstest.CA
	dir string // of the files
}

// startTLS starts a server. With withClients it knows the authority that signs their certificates.
func startTLS(t *testing.T, withClients bool) secure {
	t.Helper()
	s := secure{ca: tlstest.NewCA(t), dir: t.TempDir()}
	options := testOptions()
	options.TLSCert, options.TLSKey = s.ca.Issue(t, tlstest.Subject{CommonName: "first"}).Write(t, s.dir)
	if withClients {
		options.TLSClientCA = filepath.Join(s.dir, "ca.pem")
		tlstest.WriteFile(t, options.TLSClientCA, s.ca.PEM)
	}
	s.server = start(t, options)
	return s
}

// client returns one that shows the certificates, and speaks HTTP/2 if it is to.
func (s secure) clientOf(http2 bool, mine ...tls.Certificate) *http.Client {
	transport := &http.Transport{
		TLSClientConfig:       &tls.Config{RootCAs: s.ca.Pool(), Certificates: mine, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:     http2,
		ExpectContinueTimeout: soon,
	}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: soon}
}

func (s secure) url(path string) string { return "https://" + s.app.Addr() + path }

func TestServerSpeaksHTTP2AndHTTP1OverTLS(t *testing.T) {
	t.Parallel()
	s := startTLS(t, false)
	for http2, want := range map[bool]int{true: 2, false: 1} {
		response, err := s.clientOf(http2).Get(s.url("/readyz"))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Equal(t, want, response.ProtoMajor)
	}
	plain := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: soon}
	response, err := plain.Get("http://" + s.app.Addr() + "/readyz")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
}

func TestAnHTTP2ConnectionHasABoundedNumberOfStreams(t *testing.T) {
	t.Parallel()
	s := startTLS(t, false)
	conn, err := tls.Dial("tcp", s.app.Addr(), &tls.Config{RootCAs: s.ca.Pool(), NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12})
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(soon)))
	_, err = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00") // and no settings of its own
	require.NoError(t, err)
	head := make([]byte, 9)
	_, err = io.ReadFull(conn, head)
	require.NoError(t, err)
	require.EqualValues(t, 4, head[3], "the first frame has the settings")
	settings := make([]byte, int(head[1])<<8|int(head[2]))
	_, err = io.ReadFull(conn, settings)
	require.NoError(t, err)
	streams := uint32(0)
	for ; len(settings) >= 6; settings = settings[6:] {
		if binary.BigEndian.Uint16(settings) == 3 { // SETTINGS_MAX_CONCURRENT_STREAMS
			streams = binary.BigEndian.Uint32(settings[2:])
		}
	}
	require.EqualValues(t, 250, streams)
}

func TestServerIsNotStartedWithoutItsFiles(t *testing.T) {
	t.Parallel()
	options := testOptions()
	options.TLSCert, options.TLSKey = filepath.Join(t.TempDir(), "none"), "none"
	a, err := app.New(options)
	require.NoError(t, err)
	require.ErrorContains(t, a.Start(), "TLS: open "+options.TLSCert)
}

func TestStoppingAnswersLongPollsOfAnHTTP2Connection(t *testing.T) {
	t.Parallel()
	const polls = 50
	s := startTLS(t, false)
	client := s.clientOf(true)
	response, err := client.Get(s.url("/readyz")) // opens the connection that the polls share
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	answers, begun, connections := make(chan int, polls), make(chan struct{}, polls), make(chan bool, polls)
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got100Continue: func() { begun <- struct{}{} },
		GotConn:        func(info httptrace.GotConnInfo) { connections <- info.Reused },
	})
	for range polls {
		go func() { answers <- s.pollOver(ctx, client) }()
	}
	for range polls {
		require.True(t, <-connections)
		<-begun
	}
	require.NoError(t, s.stop())
	for range polls {
		require.Equal(t, http.StatusNoContent, <-answers)
	}
}

// pollOver waits for a job, and returns the status, or 0.
func (s secure) pollOver(ctx context.Context, client *http.Client) int {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url("/v1/dequeue"), strings.NewReader(`{"types":["t"],"wait_seconds":60}`))
	if err != nil {
		s.t.Error(err)
		return 0
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Expect", "100-continue")
	response, err := client.Do(r)
	if err != nil {
		s.t.Error(err)
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func TestCertificatesChangeWithoutARequestLost(t *testing.T) {
	t.Parallel()
	s := startTLS(t, false)
	done := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				client := s.clientOf(false) // a handshake each time
				response, err := client.Get(s.url("/readyz"))
				if err != nil {
					t.Error(err)
					return
				}
				_ = response.Body.Close()
				client.CloseIdleConnections()
			}
		})
	}
	kept := s.clientOf(true)
	for _, name := range []string{"second", "third", "fourth"} {
		s.ca.Issue(t, tlstest.Subject{CommonName: name}).Write(t, s.dir)
		s.app.Reload()
		response, err := s.clientOf(true).Get(s.url("/readyz"))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, name, response.TLS.PeerCertificates[0].Subject.CommonName)
		response, err = kept.Get(s.url("/readyz"))
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, "second", response.TLS.PeerCertificates[0].Subject.CommonName, "a connection lives on")
	}
	close(done)
	clients.Wait()
}

func TestCertificatesOfClientsAreChecked(t *testing.T) {
	t.Parallel()
	s := startTLS(t, true)
	for name, test := range map[string]struct {
		certificate tls.Certificate
		good        bool
	}{
		"ours":    {s.ca.Issue(t, tlstest.Subject{CommonName: "w"}).TLS(t), true},
		"foreign": {tlstest.NewCA(t).Issue(t, tlstest.Subject{CommonName: "w"}).TLS(t), false},
		"expired": {s.ca.Issue(t, tlstest.Subject{CommonName: "w", NotAfter: time.Now().Add(-time.Minute)}).TLS(t), false},
	} {
		client := s.clientOf(false)
		client.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &test.certificate, nil
		}
		response, err := client.Get(s.url("/readyz"))
		if err == nil {
			require.NoError(t, response.Body.Close())
		}
		require.Equal(t, test.good, err == nil, "%s: %v", name, err)
	}
	response, err := s.clientOf(true).Get(s.url("/readyz")) // none is asked for by this server alone
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
}
