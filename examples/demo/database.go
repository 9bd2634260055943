package main

import (
	"errors"
	"fmt"

	"github.com/longshore-queue/longshore/internal/queue/postgres/pgcluster"
)

// binVariable names the directory of PostgreSQL's programs, as it does for the tests.
const binVariable = "LONGSHORE_TEST_POSTGRES_BIN"

// database is an empty database in a PostgreSQL of the demo's own.
type database struct {
	site    *pgcluster.Site
	cluster *pgcluster.Cluster
	address string // for --store
}

// openDatabase starts PostgreSQL and makes a database; bin is the directory of its programs, or ""
// for any that there is. Nothing is left of it when it fails, nor when the demo ends however it
// does.
func openDatabase(bin string) (_ *database, err error) {
	site, err := pgcluster.Open(pgcluster.Place{Bin: bin})
	if errors.Is(err, pgcluster.ErrNotFound) {
		return nil, fmt.Errorf("%w: run `scripts/postgres` or `apt-get install postgresql`, or name their directory in %s; "+
			"`make demo` without STORE does without", err, binVariable)
	}
	if err != nil {
		return nil, fmt.Errorf("find PostgreSQL: %w", err)
	}
	d := &database{site: site}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.close())
		}
	}()
	if d.cluster, err = site.Start(pgcluster.Options{}); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	name, err := d.cluster.Create()
	if err != nil {
		return nil, fmt.Errorf("create a database: %w", err)
	}
	d.address = d.cluster.DSN(name)
	return d, nil
}

// close stops PostgreSQL and removes it.
func (d *database) close() (err error) {
	if d.cluster != nil {
		err = d.cluster.Remove()
	}
	d.site.Close()
	return err
}
