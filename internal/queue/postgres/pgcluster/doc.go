// Package pgcluster runs PostgreSQL servers that are thrown away: for tests (package pgtest), for the
// demo and for benchmarks. What they are told beyond PostgreSQL's own settings, such as what is synced
// and what is not, is said by who starts them.
//
// A Site finds PostgreSQL and has a directory, in which any number of clusters are started, each
// with its data. PostgreSQL refuses to be run by root; then the servers are run by the user
// postgres or nobody.
//
// Nothing is left behind. Remove and Close remove what there is. When the process is killed or
// panics instead, Linux ends the servers that it started, and a shell that watches the process
// removes their directory.
//
// It does not install PostgreSQL (scripts/postgres does), knows no schema, trusts everybody on the
// machine, and is not for what has to last.
package pgcluster
