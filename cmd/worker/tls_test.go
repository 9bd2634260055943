package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/client"
	"github.com/longshore-queue/longshore/internal/app"
	"github.com/longshore-queue/longshore/internal/cli"
	"github.com/longshore-queue/longshore/internal/tlsfiles/tlstest"
)

// secured is a server that knows the subject "farm" by its certificate, and nobody else.
type secured struct {
	url string
	ca  *tlstest.CA // that signed all certificates
	pem string      // the file that has it
}

func startSecured(t *testing.T) *secured {
	t.Helper()
	dir := t.TempDir()
	s := &secured{ca: tlstest.NewCA(t), pem: filepath.Join(dir, "ca.pem")}
	subjects := filepath.Join(dir, "subjects")
	tlstest.WriteFile(t, s.pem, s.ca.PEM)
	tlstest.WriteFile(t, subjects, []byte(`{"common_name": "farm", "scopes": ["work", "enqueue", "read"], "channels": ["default"]}`))
	options := app.Options{
		Listen: "127.0.0.1:0", Store: app.InMemory, HeartbeatTimeout: time.Minute, ReapInterval: time.Minute, MaxWait: time.Minute,
		MaxBodyBytes: 1 << 20, MaxBatchBytes: 1 << 20, MaxArgsBytes: 1 << 20, MaxResultBytes: 1 << 20, IdempotencyTTL: time.Hour,
		Auth: []string{"mtls"}, AuthMTLSFile: subjects, TLSClientCA: s.pem,
	}
	options.TLSCert, options.TLSKey = s.ca.Issue(t, tlstest.Subject{CommonName: "server"}).Write(t, dir)
	server, err := app.New(options)
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, server.Stop(ctx))
	})
	s.url = "https://" + server.Addr()
	return s
}

// certificate returns files of a certificate that an authority has signed.
func certificate(t *testing.T, ca *tlstest.CA, commonName string) client.TLSFiles {
	t.Helper()
	cert, key := ca.Issue(t, tlstest.Subject{CommonName: commonName}).Write(t, t.TempDir())
	return client.TLSFiles{Cert: cert, Key: key}
}

// launch starts a worker of the server that has these files.
func (s *secured) launch(t *testing.T, files client.TLSFiles) *process {
	t.Helper()
	args := []string{"--run", "t=cat", "--server", s.url}
	if files.CA != "" {
		args = append(args, "--ca-cert", files.CA)
	}
	if files.Cert != "" {
		args = append(args, "--client-cert", files.Cert, "--client-key", files.Key)
	}
	p := &process{signals: make(chan os.Signal, 2), code: make(chan int, 1), log: &lockedBuffer{}}
	c, _, ok := parse(program(p.log, p.log), args, environ())
	require.True(t, ok, p.log.String())
	go func() { p.code <- work(t.Context(), program(p.log, p.log), c, environ(), p.signals) }()
	return p
}

// logged reports whether there is a line with an error and an advice.
func (p *process) logged(failure, advice string) bool {
	for line := range strings.Lines(p.log.String()) {
		if strings.Contains(line, failure) && strings.Contains(line, advice) {
			return true
		}
	}
	return false
}

func TestAWorkerIsKnownByItsCertificate(t *testing.T) {
	t.Parallel()
	s := startSecured(t)
	files := certificate(t, s.ca, "farm")
	files.CA = s.pem
	p := s.launch(t, files)
	config, err := files.Config()
	require.NoError(t, err)
	producer, err := client.New(s.url, client.Options{TLS: config})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	job, err := producer.Enqueue(ctx, client.NewJob{Type: "t", Args: json.RawMessage(`[1]`)})
	require.NoError(t, err)
	job, err = producer.Wait(ctx, job.Id)
	require.NoError(t, err)
	require.Equal(t, client.Finished, job.State)
	p.signals <- syscall.SIGTERM
	require.Equal(t, cli.ExitClean, next(t, p.code))
	require.NotContains(t, p.log.String(), "advice")
}

// A worker whose certificate is of no use tries again, since files are renewed, and its log says what to do.
func TestAWorkerThatIsRefusedSaysWhatToDo(t *testing.T) {
	t.Parallel()
	s := startSecured(t)
	with := func(files client.TLSFiles) client.TLSFiles {
		files.CA = s.pem
		return files
	}
	for name, test := range map[string]struct {
		files         client.TLSFiles
		error, advice string
	}{
		"no certificate":             {client.TLSFiles{CA: s.pem}, "401 unauthenticated", "a certificate in --client-cert and --client-key"},
		"a subject nobody knows":     {with(certificate(t, s.ca, "stranger")), "401 unauthenticated", "the server's log says what is wrong"},
		"of another authority":       {with(certificate(t, tlstest.NewCA(t), "farm")), "unknown certificate authority", "an authority in the server's --tls-client-ca"},
		"a server that is not known": {certificate(t, s.ca, "farm"), "certificate signed by unknown authority", "in --ca-cert"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := s.launch(t, test.files)
			require.Eventually(t, func() bool { return p.logged(test.error, test.advice) }, patience, time.Millisecond, "%s", p.log)
			p.signals <- syscall.SIGTERM
			require.Equal(t, cli.ExitClean, next(t, p.code))
		})
	}
}

func TestAWorkerThatDoesNotSpeakTLSToAServerThatDoesSaysSo(t *testing.T) {
	t.Parallel()
	s := startSecured(t)
	s.url = "http://" + strings.TrimPrefix(s.url, "https://")
	p := s.launch(t, client.TLSFiles{})
	require.Eventually(t, func() bool { return p.logged("400", "begin --server with https://") }, patience, time.Millisecond, "%s", p.log)
	p.signals <- syscall.SIGTERM
	require.Equal(t, cli.ExitClean, next(t, p.code))
}
