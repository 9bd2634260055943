// Package mtls knows who a request comes from by the certificate that the client showed when the
// connection was made. A file says which subjects there are, and what each may do.
//
// The package does not verify certificates: the listener does, with the authorities that it was told of.
// It believes none that was not verified.
package mtls
