package tlsfiles

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	// DefaultInterval is how often files are looked at unless Options say otherwise.
	DefaultInterval = 10 * time.Second
	// maxFile is how long a file may be, in bytes. The largest bundles of public authorities have a
	// quarter of it.
	maxFile = 1 << 20
)

// Options say which files there are. All of them are PEM.
type Options struct {
	// Cert is the file of the server's certificate, with those between it and the root after it, and Key
	// that of its private key. Both are required.
	Cert, Key string
	// ClientCA is the file of the authorities that sign the certificates of clients; "" for none. A
	// client that shows a certificate of another one is refused; one that shows none is not.
	ClientCA string
	// Interval is how often the files are looked at; 0 is DefaultInterval.
	Interval time.Duration
	// Logger is told when files are read again; nil for nobody.
	Logger queue.SimpleLogger
}

// Files are the files and what was last read of them that can be used. Its methods are safe for
// concurrent use.
type Files struct {
	options Options
	current atomic.Pointer[tls.Config]

	mu   sync.Mutex // guards read
	read contents   // by the last attempt, whether it could be used or not

	ctx    context.Context // ends with Stop
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// contents are those of the three files.
type contents struct{ cert, key, clientCA []byte }

func (c contents) equal(d contents) bool {
	return bytes.Equal(c.cert, d.cert) && bytes.Equal(c.key, d.key) && bytes.Equal(c.clientCA, d.clientCA)
}

// Open reads the files. It is an error if they cannot be used.
func Open(options Options) (*Files, error) {
	if options.Interval <= 0 {
		options.Interval = DefaultInterval
	}
	if options.Logger == nil {
		options.Logger = queue.NopLogger{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &Files{options: options, ctx: ctx, cancel: cancel}
	if _, err := f.look(); err != nil {
		cancel()
		return nil, err
	}
	return f, nil
}

// Config returns the settings of a listener. Each handshake uses what the files held when they were
// last read.
func (f *Files) Config() *tls.Config {
	config := f.current.Load().Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return f.current.Load(), nil }
	return config
}

// Start begins to look at the files, in a goroutine. It is called once.
func (f *Files) Start() {
	f.done.Go(func() {
		ticker := time.NewTicker(f.options.Interval)
		defer ticker.Stop()
		for {
			select {
			case <-f.ctx.Done():
				return
			case <-ticker.C:
				f.Reload()
			}
		}
	})
}

// Stop ends what Start began, and waits for it. It may be called again, and without Start.
func (f *Files) Stop() {
	f.cancel()
	f.done.Wait()
}

// Reload reads the files again at once, and logs what became of it if they have changed.
func (f *Files) Reload() {
	changed, err := f.look()
	switch {
	case err != nil:
		f.options.Logger.Error(err, "the TLS files changed and cannot be used; the old ones stay in use")
	case changed:
		f.options.Logger.Info("the TLS files changed and are in use", "certificate", f.options.Cert, "not_after", f.notAfter())
	}
}

// look reads the files, and uses what is in them if that is not what was there the last time. What
// cannot be used is an error once, and not again until it changes.
func (f *Files) look() (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	// A file that cannot be read is like one that holds nothing: it is told once.
	read, failure := f.readAll()
	if read.equal(f.read) {
		if f.current.Load() == nil {
			return false, failure
		}
		return false, nil
	}
	f.read = read
	if failure != nil {
		return true, failure
	}
	config, err := f.parse(read)
	if err != nil {
		return true, err
	}
	f.current.Store(config)
	return true, nil
}

func (f *Files) readAll() (c contents, err error) {
	var failures [3]error
	c.cert, failures[0] = readFile(f.options.Cert)
	c.key, failures[1] = readFile(f.options.Key)
	if f.options.ClientCA != "" {
		c.clientCA, failures[2] = readFile(f.options.ClientCA)
	}
	return c, errors.Join(failures[:]...)
}

func readFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxFile {
		return nil, fmt.Errorf("%s is longer than %d bytes", name, maxFile)
	}
	return content, nil
}

// parse makes settings of what is in the files.
func (f *Files) parse(c contents) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(c.cert, c.key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", f.options.Cert, f.options.Key, err)
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   tls.VersionTLS12,
		// Written here too, since http.Server adds them only to the settings that it is given.
		NextProtos: []string{"h2", "http/1.1"},
	}
	if f.options.ClientCA != "" {
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(c.clientCA) {
			return nil, fmt.Errorf("%s holds no certificate in PEM", f.options.ClientCA)
		}
		config.ClientAuth = tls.VerifyClientCertIfGiven
		// A session that is resumed would be trusted for what the authorities were when it began.
		config.SessionTicketsDisabled = true
	}
	return config, nil
}

// notAfter is until when the certificate in use is valid.
func (f *Files) notAfter() string {
	return f.current.Load().Certificates[0].Leaf.NotAfter.UTC().Format(time.RFC3339)
}
