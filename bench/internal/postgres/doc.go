// Package postgres runs a PostgreSQL of its own for the systems that keep their jobs in one: a
// new cluster in a directory, reached through a socket in that directory and by nobody else, that
// is gone with its files when it is closed. What it is told to do is as durable as PostgreSQL is
// by default; the few settings that differ are in settings.go, and are reported. Package pgcluster
// runs it, as it does those of the product's tests.
//
// It knows nothing of the systems, which bring their own schemas.
package postgres
