package app

import (
	"slices"

	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/auth/mtls"
)

// mtlsKind is the kind of credentials that certificates of clients are, as Options.Auth calls it.
const mtlsKind = "mtls"

// validateMTLS validates what concerns certificates of clients only.
func (o Options) validateMTLS() error {
	asked := slices.Contains(o.Auth, mtlsKind)
	switch {
	case !asked && o.AuthMTLSFile != "":
		return &OptionError{"AuthMTLSFile", "makes no sense without --auth " + mtlsKind}
	case asked && o.AuthMTLSFile == "":
		return &OptionError{"AuthMTLSFile", "must not be empty: it says what each certificate may do"}
	case asked && o.TLSClientCA == "":
		return &OptionError{"TLSClientCA", "must not be empty: it says whose certificates are good"}
	default:
		return nil
	}
}

// newMTLS makes the authenticator of certificates.
func newMTLS(a *App) (auth.Authenticator, error) {
	var err error
	a.subjects, err = mtls.Open(a.options.AuthMTLSFile, nil)
	return a.subjects, err
}
