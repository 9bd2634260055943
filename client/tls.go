package client

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// TLSFiles are files in PEM by which a client and a server know each other. The zero value is none:
// the server is known by the authorities that the system trusts, and the client has no certificate.
type TLSFiles struct {
	// CA has the authorities that may have signed the server's certificate, instead of the system's.
	CA string
	// Cert has the client's certificate, with those between it and the root after it, and Key its
	// private key. They are read again for each connection, so that a renewed one is used.
	Cert, Key string
}

// Config returns the settings for Options.TLS. It is an error if the files cannot be used.
func (f TLSFiles) Config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		content, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, fmt.Errorf("read the authorities: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(content) {
			return nil, fmt.Errorf("read the authorities: %s holds no certificate in PEM", f.CA)
		}
	}
	if f.Cert == "" && f.Key == "" {
		return config, nil
	}
	read := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			return nil, fmt.Errorf("read the client's certificate %q with key %q: %w", f.Cert, f.Key, err)
		}
		return &pair, nil
	}
	if _, err := read(nil); err != nil {
		return nil, err
	}
	config.GetClientCertificate = read
	return config, nil
}
