package tlsfiles_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/longshore-queue/longshore/internal/tlsfiles"
	"github.com/longshore-queue/longshore/internal/tlsfiles/tlstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// told keeps what is logged.
type told struct {
	mu    sync.Mutex // guards lines
	lines []string
}

func (l *told) Info(msg string, _ ...string) { l.add(msg) }

func (l *told) Error(err error, msg string, _ ...string) { l.add(msg + ": " + err.Error()) }

func (l *told) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

// take returns what was logged since the last time.
func (l *told) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

// served is the name on the certificate that a client of the configuration gets to see, or why there is none.
func served(t *testing.T, config, client *tls.Config) (string, error) {
	t.Helper()
	ours, theirs := net.Pipe()
	require.NoError(t, ours.SetDeadline(time.Now().Add(time.Minute)))
	require.NoError(t, theirs.SetDeadline(time.Now().Add(time.Minute)))
	server := tls.Server(theirs, config)
	refused := make(chan error, 1)
	go func() {
		err := server.Handshake()
		if err == nil {
			_, err = server.Write([]byte("x")) // a client's certificate is judged after the client is done
		} else {
			_ = theirs.Close()
		}
		refused <- err
	}()
	conn := tls.Client(ours, client)
	defer func() { _ = ours.Close() }()
	_, err := conn.Read(make([]byte, 1))
	if err := <-refused; err != nil {
		return "", err
	}
	require.NoError(t, err)
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
}

// began is within the time of every certificate, which that of a bubble of synctest is not.
var began = time.Now()

func trusting(ca *tlstest.CA, mine ...tls.Certificate) *tls.Config {
	return &tls.Config{
		RootCAs: ca.Pool(), ServerName: "127.0.0.1", Certificates: mine, MinVersion: tls.VersionTLS12,
		Time: func() time.Time { return began },
	}
}

func TestChangedFilesAreUsedByTheNextHandshake(t *testing.T) {
	t.Parallel()
	ca, dir, log := tlstest.NewCA(t), t.TempDir(), &told{}
	cert, key := ca.Issue(t, tlstest.Subject{CommonName: "old"}).Write(t, dir)
	changed, again := ca.Issue(t, tlstest.Subject{CommonName: "new"}), ca.Issue(t, tlstest.Subject{CommonName: "newer"})
	synctest.Test(t, func(t *testing.T) {
		files, err := tlsfiles.Open(tlsfiles.Options{Cert: cert, Key: key, Interval: time.Minute, Logger: log})
		require.NoError(t, err)
		files.Start()
		defer files.Stop()
		config := files.Config()
		require.Equal(t, []string{"h2", "http/1.1"}, config.NextProtos)
		expect := func(want string) {
			t.Helper()
			got, err := served(t, config, trusting(ca))
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		expect("old")
		time.Sleep(90 * time.Second)
		require.Empty(t, log.take())

		changed.Write(t, dir)
		expect("old")
		time.Sleep(time.Minute)
		expect("new")
		require.Equal(t, []string{"the TLS files changed and are in use"}, log.take())

		files.Reload()
		require.Empty(t, log.take(), "nothing has changed")
		again.Write(t, dir)
		files.Reload()
		expect("newer")
	})
}

func TestFilesThatCannotBeUsedAreToldOnceAndLeft(t *testing.T) {
	t.Parallel()
	ca, dir, log := tlstest.NewCA(t), t.TempDir(), &told{}
	good := ca.Issue(t, tlstest.Subject{CommonName: "good"})
	cert, key := good.Write(t, dir)
	authorities := filepath.Join(dir, "ca.pem")
	tlstest.WriteFile(t, authorities, ca.PEM)
	files, err := tlsfiles.Open(tlsfiles.Options{Cert: cert, Key: key, ClientCA: authorities, Logger: log})
	require.NoError(t, err)
	config := files.Config()
	for name, spoil := range map[string]func(){
		"does not match": func() { tlstest.WriteFile(t, cert, ca.Issue(t, tlstest.Subject{}).Cert) },
		"no such file":   func() { require.NoError(t, os.Remove(key)) },
		"PEM":            func() { tlstest.WriteFile(t, authorities, []byte("-----BEGIN CERTIFICATE-----")) },
		"longer than":    func() { tlstest.WriteFile(t, cert, make([]byte, 1<<20+1)) },
	} {
		spoil()
		files.Reload()
		files.Reload()
		lines := log.take()
		require.Len(t, lines, 1)
		require.Contains(t, lines[0], name)
		require.Contains(t, lines[0], "the old ones stay in use")
		got, err := served(t, config, trusting(ca))
		require.NoError(t, err)
		require.Equal(t, "good", got)

		good.Write(t, dir)
		tlstest.WriteFile(t, authorities, ca.PEM)
		files.Reload()
		require.Equal(t, []string{"the TLS files changed and are in use"}, log.take())
	}
}

func TestFilesThatCannotBeUsedDoNotOpen(t *testing.T) {
	t.Parallel()
	ca, dir := tlstest.NewCA(t), t.TempDir()
	cert, key := ca.Issue(t, tlstest.Subject{}).Write(t, dir)
	for want, options := range map[string]tlsfiles.Options{
		"no such file": {Cert: filepath.Join(dir, "none"), Key: key},
		"certificate ": {Cert: key, Key: cert},
		"none.pem":     {Cert: cert, Key: key, ClientCA: filepath.Join(dir, "none.pem")},
		"holds no":     {Cert: cert, Key: key, ClientCA: key},
	} {
		_, err := tlsfiles.Open(options)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "PRIVATE KEY")
	}
}

func TestCertificatesOfClientsAreOfTheAuthoritiesNowInTheFile(t *testing.T) {
	t.Parallel()
	ca, other, dir := tlstest.NewCA(t), tlstest.NewCA(t), t.TempDir()
	cert, key := ca.Issue(t, tlstest.Subject{CommonName: "server"}).Write(t, dir)
	authorities := filepath.Join(dir, "ca.pem")
	tlstest.WriteFile(t, authorities, ca.PEM)
	files, err := tlsfiles.Open(tlsfiles.Options{Cert: cert, Key: key, ClientCA: authorities})
	require.NoError(t, err)
	config := files.Config()
	ours, theirs := ca.Issue(t, tlstest.Subject{}).TLS(t), other.Issue(t, tlstest.Subject{}).TLS(t)
	expired := ca.Issue(t, tlstest.Subject{NotAfter: time.Now().Add(-time.Minute)}).TLS(t)
	accepted := func(mine ...tls.Certificate) error {
		client := trusting(ca, mine...)
		if len(mine) > 0 { // even one that the server did not ask for
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &mine[0], nil }
		}
		_, err := served(t, config, client)
		return err
	}
	require.NoError(t, accepted())
	require.NoError(t, accepted(ours))
	var unknown x509.UnknownAuthorityError
	require.ErrorAs(t, accepted(theirs), &unknown)
	var invalid x509.CertificateInvalidError
	require.ErrorAs(t, accepted(expired), &invalid)

	tlstest.WriteFile(t, authorities, other.PEM)
	files.Reload()
	require.ErrorAs(t, accepted(ours), &unknown)
	require.NoError(t, accepted(theirs))
}

func TestOldVersionsOfTLSAreRefused(t *testing.T) {
	t.Parallel()
	ca := tlstest.NewCA(t)
	cert, key := ca.Issue(t, tlstest.Subject{}).Write(t, t.TempDir())
	files, err := tlsfiles.Open(tlsfiles.Options{Cert: cert, Key: key})
	require.NoError(t, err)
	client := trusting(ca)
	client.MinVersion, client.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	_, err = served(t, files.Config(), client)
	require.ErrorContains(t, err, "unsupported versions")
}
