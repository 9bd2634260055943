package e2e_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
	"github.com/longshore-queue/longshore/internal/tlsfiles/tlstest"
)

func TestClientAndServerKnowEachOtherByFiles(t *testing.T) {
	t.Parallel()
	ca, dir := tlstest.NewCA(t), t.TempDir()
	names := make(chan string, 10)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		names <- r.TLS.PeerCertificates[0].Subject.CommonName
		w.WriteHeader(http.StatusNoContent)
	}))
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{ca.Issue(t, tlstest.Subject{}).TLS(t)}, MinVersion: tls.VersionTLS12,
		ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
	}
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)

	files := client.TLSFiles{CA: filepath.Join(dir, "ca.pem")}
	tlstest.WriteFile(t, files.CA, ca.PEM)
	files.Cert, files.Key = ca.Issue(t, tlstest.Subject{CommonName: "old"}).Write(t, dir)
	config, err := files.Config()
	require.NoError(t, err)
	call := func(options client.Options) error {
		c, err := client.New(server.URL, options)
		require.NoError(t, err)
		_, err = c.API().GetReadinessWithResponse(t.Context())
		return err
	}
	require.NoError(t, call(client.Options{TLS: config}))
	require.Equal(t, "old", <-names)
	ca.Issue(t, tlstest.Subject{CommonName: "new"}).Write(t, dir)
	require.NoError(t, call(client.Options{TLS: config}))
	require.Equal(t, "new", <-names, "a renewed certificate is used by the next connection")

	require.ErrorContains(t, call(client.Options{}), "unknown authority")
	config, err = client.TLSFiles{CA: files.CA}.Config()
	require.NoError(t, err)
	require.Error(t, call(client.Options{TLS: config}), "a certificate is needed")
	require.Empty(t, names)
}

func TestTLSFilesAreChecked(t *testing.T) {
	t.Parallel()
	ca, dir := tlstest.NewCA(t), t.TempDir()
	cert, key := ca.Issue(t, tlstest.Subject{}).Write(t, dir)
	for want, files := range map[string]client.TLSFiles{
		"no such file":   {CA: filepath.Join(dir, "none")},
		"holds no":       {CA: key},
		`with key ""`:    {Cert: cert},
		`certificate ""`: {Key: key},
	} {
		_, err := files.Config()
		require.ErrorContains(t, err, want)
	}
	config, err := client.TLSFiles{}.Config()
	require.NoError(t, err)
	_, err = client.New("https://queue.example", client.Options{TLS: config, HTTPClient: http.DefaultClient})
	require.ErrorContains(t, err, "HTTPClient")
}
