// Package pgtest gives tests a PostgreSQL of their own.
//
// A test process has one shared cluster, started when the first test asks for a database and
// tuned for speed: it syncs nothing, so that what it holds is lost when the machine stops, which
// no test waits for. Database makes a fresh database there. A test that crashes a server, or
// needs a standby, starts a cluster for itself with Start.
//
// Nothing is left behind. Main stops the shared cluster; a cluster of Start stops with its test;
// package pgcluster, which runs them, sees to the rest. Their directory is in memory where there is
// room; whoever measures syncs sets TMPDIR to a directory on a disk.
//
// It does not install PostgreSQL (scripts/postgres does), knows no schema, and is not for
// production code.
package pgtest

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/longshore-queue/longshore/internal/queue/postgres/pgcluster"
)

// binEnv names the directory of PostgreSQL's programs, before any other.
const binEnv = "LONGSHORE_TEST_POSTGRES_BIN"

// TB is what Database asks of a test: *testing.T, *testing.B, *testing.F and *rapid.T have it.
// When it has a method Cleanup(func()) too, what was made for it is removed there.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// M stops the shared cluster after the tests. It is for a TestMain that looks for leaked
// goroutines, which a running cluster has:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.M{M: m}) }
type M struct{ *testing.M }

// Run runs the tests, stops the shared cluster if one of them started it, and returns the
// process's exit code.
func (m M) Run() int {
	code := m.M.Run()
	local.close()
	return code
}

// Main is for a TestMain that has nothing else to do: os.Exit(pgtest.Main(m)).
func Main(m *testing.M) int { return M{M: m}.Run() }

// Database creates an empty database on the shared cluster, which it starts when it is the
// first to ask, and returns the address of the database: a URL that pgx takes. Any number of
// goroutines may call it. The database is dropped when the test ends, whoever is connected.
func Database(t TB) string {
	t.Helper()
	shared, err := local.cluster()
	if err != nil {
		t.Fatalf("start the PostgreSQL that tests share: %v", err)
		return ""
	}
	return shared.Database(t)
}

// local is what this process has.
var local process

type process struct {
	mu     sync.Mutex // guards what follows
	site   *pgcluster.Site
	shared *Cluster
	// failed is why there is no site or no cluster: every test is told, and none tries again.
	failed error
}

// place returns the site, which it opens for the first caller.
func (p *process) place() (*pgcluster.Site, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open()
}

func (p *process) open() (*pgcluster.Site, error) {
	if p.site == nil && p.failed == nil {
		p.site, p.failed = pgcluster.Open(pgcluster.Place{Bin: os.Getenv(binEnv), Parent: os.Getenv("TMPDIR")})
		if errors.Is(p.failed, pgcluster.ErrNotFound) {
			p.failed = fmt.Errorf("%w: run `scripts/postgres` or `apt-get install postgresql`, or name their directory in %s; "+
				"`make test-embedded` runs the tests that do without", p.failed, binEnv)
		}
	}
	return p.site, p.failed
}

// cluster returns the shared cluster, which it starts for the first caller while others wait.
func (p *process) cluster() (*Cluster, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shared != nil {
		return p.shared, nil
	}
	s, err := p.open()
	if err != nil {
		return nil, err
	}
	p.shared, p.failed = start(s, Options{Settings: map[string]string{
		"fsync":              "off",
		"synchronous_commit": "off",
		"full_page_writes":   "off",
		"max_connections":    "500",
		"wal_keep_size":      "0",
	}})
	return p.shared, p.failed
}

// close stops what runs and removes every trace of it. A test that failed is the news then, not
// a server that would not stop in order: it is killed.
func (p *process) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shared != nil {
		_ = p.shared.Stop(Immediate)
	}
	if p.site != nil {
		p.site.Close()
	}
	p.shared, p.site, p.failed = nil, nil, nil
}
