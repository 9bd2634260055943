package main

import (
	"crypto/x509"
	"errors"
	"net"
	"net/http"

	"github.com/longshore-queue/longshore/client"
)

// advised is a logger that says, of errors that it has advice for, what to do about them.
type advised struct {
	client.Logger
	certificate bool // the worker has one to show
	plain       bool // it does not speak TLS
}

// Error implements client.Logger.
func (a advised) Error(err error, msg string, keysAndValues ...string) {
	if advice := a.advice(err); advice != "" {
		keysAndValues = append(keysAndValues[:len(keysAndValues):len(keysAndValues)], "advice", advice)
	}
	a.Logger.Error(err, msg, keysAndValues...)
}

// advice is what to do about an error, in the words of this program's flags; "" if that is not known.
func (a advised) advice(err error) string {
	var problem *client.Problem
	var authority x509.UnknownAuthorityError
	var alert *net.OpError
	switch {
	case errors.As(err, &problem) && problem.Status == http.StatusUnauthorized:
		return "the server does not know who this worker is: give what its --auth asks for, a key or token in " + keyVariable +
			" or --key-file, or a certificate in --client-cert and --client-key; the server's log says what is wrong with it"
	case a.plain && errors.As(err, &problem) && problem.Status == http.StatusBadRequest && problem.Code == "":
		return "if the server, or what is in front of it, speaks TLS, begin --server with https://"
	case errors.As(err, &authority):
		return "give the authority that signed the server's certificate in --ca-cert"
	// What the other side of TLS has sent before it hung up.
	case a.certificate && errors.As(err, &alert) && alert.Op == "remote error":
		return "the server does not accept the certificate of --client-cert: one that has not expired is needed, of an authority in the server's --tls-client-ca"
	default:
		return ""
	}
}
