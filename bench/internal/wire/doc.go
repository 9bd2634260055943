// Package wire is the client of the load generator: requests that are bytes made beforehand,
// and a reader of answers that looks at no more than it needs. It costs far less than
// net/http's client, which on a small machine would take the processor from the server that
// is measured.
//
// It knows only what this project's servers answer: no chunks, no compression, no redirects.
package wire
