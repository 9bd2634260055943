package mtls

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/longshore-queue/longshore/internal/auth"
)

// Authenticator knows the subjects of a file. It implements auth.Authenticator.
type Authenticator struct {
	file  string
	now   func() time.Time
	known atomic.Pointer[table]
}

// Open reads a file of subjects. now is the clock by which certificates expire; nil is time.Now.
func Open(file string, now func() time.Time) (*Authenticator, error) {
	if now == nil {
		now = time.Now
	}
	a := &Authenticator{file: file, now: now}
	if err := a.Reload(); err != nil {
		return nil, err
	}
	return a, nil
}

// Reload reads the file again. After an error the subjects that it had stay.
func (a *Authenticator) Reload() error {
	f, err := os.Open(a.file)
	if err != nil {
		return fmt.Errorf("open the file of certificate subjects: %w", err)
	}
	found, err := parse(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read the file of certificate subjects %s: %w", a.file, err)
	}
	a.known.Store(&found)
	return nil
}

// Authenticate implements auth.Authenticator. A connection may live longer than the certificate that it was
// made with, or than its line in the file: both are looked at for each request.
func (a *Authenticator) Authenticate(r *http.Request) (*auth.Principal, error) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return nil, auth.ErrNoCredential
	}
	certificate := r.TLS.VerifiedChains[0][0]
	if a.now().After(certificate.NotAfter) {
		return nil, fmt.Errorf("the client's certificate has expired: %w", auth.ErrBadCredential)
	}
	known := *a.known.Load()
	var found *auth.Principal
	for _, s := range subjectsOf(certificate) {
		p := known[s]
		if p != nil && found != nil && p != found {
			return nil, fmt.Errorf("the client's certificate has several known subjects: %w", auth.ErrBadCredential)
		}
		if p != nil {
			found = p
		}
	}
	if found == nil {
		return nil, fmt.Errorf("the client's certificate has no known subject: %w", auth.ErrBadCredential)
	}
	return found, nil
}

// subjectsOf are all that the certificate says of who it is for.
func subjectsOf(certificate *x509.Certificate) []subject {
	those := []subject{{commonName, certificate.Subject.CommonName}}
	for _, address := range certificate.URIs {
		those = append(those, subject{uri, address.String()})
	}
	for _, name := range certificate.DNSNames {
		those = append(those, subject{dns, name})
	}
	return those
}
