// Package tlsfiles keeps what a server needs for TLS in step with the files that it is in: the
// certificate, its key, and who may sign the certificates of clients. Files that change are read
// again, and every handshake after that uses what is in them; what cannot be used is left where it
// is, and the server goes on with what it had.
//
// It neither listens nor says who a client is: internal/app has the listeners, and
// internal/auth/mtls knows what a certificate stands for.
package tlsfiles
