package workload

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// protocol is a way to talk to the server.
type protocol struct {
	name, purpose, scheme string
	http2                 bool
	roots                 *x509.CertPool // who signs the server's certificate
}

// protocols has the one first that the others are compared with.
func protocols(roots *x509.CertPool) []protocol {
	return []protocol{
		{name: "HTTP/1.1", purpose: "plain", scheme: "http"},
		{name: "HTTP/1.1 over TLS", purpose: "tls", scheme: "https", roots: roots},
		{name: "HTTP/2 over TLS", purpose: "http2", scheme: "https", http2: true, roots: roots},
	}
}

// idleKept is how many connections that nobody uses are kept to a host, as by the product's client.
const idleKept = 256

// transport keeps as many connections as that of the product's client. It counts those that it opens.
func (p protocol) transport(opened *int64) *http.Transport {
	var speaks http.Protocols
	speaks.SetHTTP1(!p.http2)
	speaks.SetHTTP2(p.http2)
	return &http.Transport{
		MaxIdleConnsPerHost: idleKept,
		TLSClientConfig:     &tls.Config{RootCAs: p.roots, MinVersion: tls.VersionTLS12},
		Protocols:           &speaks,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			atomic.AddInt64(opened, 1)
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
}

// certificate is that of a server on this machine, which has signed it itself.
type certificate struct {
	file, key string
	roots     *x509.CertPool
}

// certify makes a certificate in a directory, which it makes too.
func certify(directory string) (*certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	c := &certificate{file: filepath.Join(directory, "cert.pem"), key: filepath.Join(directory, "key.pem"), roots: x509.NewCertPool()}
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	c.roots.AppendCertsFromPEM(encoded)
	if err := os.Mkdir(directory, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(c.file, encoded, 0o600); err != nil {
		return nil, err
	}
	return c, os.WriteFile(c.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600)
}
