// Package oidc knows who a request comes from by a JSON Web Token that an OpenID Connect issuer
// signed, sent as a bearer token.
//
// The issuer's keys are found by its discovery document, kept in memory, and fetched again from time to
// time, and when a token names a key that is not among them. However many such tokens arrive,
// the issuer is asked only so often. While the issuer does not answer the keys that are known stay good, and before any
// are known no token can be checked. A token that was good is remembered for a short time, since workers send the same
// one with each request.
//
// The package logs nobody in and gets no tokens: it only checks those that others hand out. It does not
// ask the issuer whether a token was revoked: it is good until it expires.
package oidc
