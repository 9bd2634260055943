package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/process"
	"github.com/longshore-queue/longshore/internal/queue/postgres/pgcluster"
)

// Options say how to run a cluster. The zero value works.
type Options struct {
	// Programs is the directory of PostgreSQL's programs, which are looked for unless given.
	Programs string
	// User is whom it runs as if this program is root: postgres, or nobody, unless given.
	User string
}

// Cluster is a running PostgreSQL.
type Cluster struct {
	site    *pgcluster.Site
	cluster *pgcluster.Cluster
}

// Start makes a cluster in a directory that must not be there yet, and returns when it answers. It
// is nowhere else, since what it syncs is measured. It runs until Close, and ends with this program
// if that dies. pgcluster.ErrNotFound if there is no PostgreSQL.
func Start(ctx context.Context, directory string, o Options) (*Cluster, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		// Whoever PostgreSQL runs as has to pass.
		if err := os.Chmod(filepath.Dir(directory), 0o711); err != nil {
			return nil, err
		}
	}
	site, err := pgcluster.Open(pgcluster.Place{Bin: o.Programs, Dir: directory, User: o.User})
	if err != nil {
		return nil, err
	}
	cluster, err := site.Start(pgcluster.Options{Settings: durable()})
	if err != nil {
		site.Close()
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	return &Cluster{site: site, cluster: cluster}, nil
}

// Processor returns the time that all its processes have spent on processors.
// process.ErrUnknown.
func (c *Cluster) Processor() (time.Duration, error) { return process.Family(c.cluster.Process()) }

// Close ends the cluster, whoever uses it, and removes its files.
func (c *Cluster) Close() error {
	err := errors.Join(c.cluster.Stop(pgcluster.Fast), c.cluster.Remove())
	c.site.Close()
	return err
}
