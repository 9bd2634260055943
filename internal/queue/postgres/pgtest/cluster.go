package pgtest

import (
	"testing"

	"github.com/longshore-queue/longshore/internal/queue/postgres/pgcluster"
)

// Mode is how to stop a server.
type Mode = pgcluster.Mode

const (
	// Fast disconnects everybody and writes a checkpoint.
	Fast = pgcluster.Fast
	// Immediate is a crash: nothing is written, and the next start recovers from the log.
	Immediate = pgcluster.Immediate
)

// Options of a cluster, as pgcluster.Options are.
type Options struct {
	// Settings are lines of postgresql.conf: names and values, unquoted. A standby has those of
	// its primary, as far as its own do not say otherwise.
	Settings map[string]string
	// TCP makes it listen on 127.0.0.1 as well, at a free port that it keeps. DSN says so.
	TCP bool
	// StandbyOf makes it a streaming standby of a cluster that runs.
	StandbyOf *Cluster
	// Synchronous makes every commit on the primary wait until this standby has it on disk. The
	// primary waits for all of its synchronous standbys.
	Synchronous bool
}

// Cluster is a PostgreSQL server and its data, and makes databases for tests. What fails is
// returned, not reported to the test, since other goroutines than the test's crash servers too.
type Cluster struct{ *pgcluster.Cluster }

// Start starts a cluster for one test, which ends with it. Its cleanup removes it, running or not.
func Start(t *testing.T, o Options) *Cluster {
	t.Helper()
	s, err := local.place()
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	c, err := start(s, o)
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Remove(); err != nil {
			t.Errorf("remove PostgreSQL: %v", err)
		}
	})
	return c
}

func start(s *pgcluster.Site, o Options) (*Cluster, error) {
	options := pgcluster.Options{Settings: o.Settings, TCP: o.TCP, Synchronous: o.Synchronous}
	if o.StandbyOf != nil {
		options.StandbyOf = o.StandbyOf.Cluster
	}
	c, err := s.Start(options)
	if err != nil {
		return nil, err
	}
	return &Cluster{c}, nil
}

// Database creates an empty database and returns its address, as the function Database does.
func (c *Cluster) Database(t TB) string {
	t.Helper()
	name, err := c.Create()
	if err != nil {
		t.Fatalf("create a database: %v", err)
		return ""
	}
	if t, ok := t.(interface{ Cleanup(f func()) }); ok {
		// A cluster that is stopped has its reasons, and takes its databases with it.
		t.Cleanup(func() { _ = c.Drop(name) })
	}
	return c.DSN(name)
}
