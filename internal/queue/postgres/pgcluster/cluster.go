package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// settingsFile has the settings of a cluster; its postgresql.conf includes it.
	settingsFile = "longshore.conf"
	// socketPort names the socket of a cluster that does not listen on TCP.
	socketPort = 5432
	// startTimeout is how long a server may take until it accepts connections, recovery included.
	startTimeout = time.Minute
	// queryTimeout is how long a statement of this package may take.
	queryTimeout = 30 * time.Second
	// pollInterval is how often a server is asked for what it does not tell on its own.
	pollInterval = 10 * time.Millisecond
)

// Mode is how to stop a server.
type Mode string

const (
	// Fast disconnects everybody and writes a checkpoint.
	Fast Mode = "fast"
	// Immediate is a crash: nothing is written, and the next start recovers from the log.
	Immediate Mode = "immediate"
)

// Options of a cluster. The zero Options are a cluster that syncs as a real one does.
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

// Cluster is a PostgreSQL server and its data. Any number of goroutines may use it.
type Cluster struct {
	site     *Site
	name     string
	dir      string
	port     int
	tcp      bool
	settings map[string]string // not written to after the first start
	count    atomic.Int64      // databases that were created, to name them

	mu          sync.Mutex // guards what follows, and is held while the server starts or stops
	server      *server    // nil until the first start
	synchronous []string   // names of the standbys that commits wait for
}

// Start makes a cluster and starts it. Nothing is left of one that does not start.
func (s *Site) Start(o Options) (_ *Cluster, err error) {
	number := s.clusters.Add(1)
	c := &Cluster{
		site: s,
		name: fmt.Sprintf("cluster_%d", number),
		dir:  filepath.Join(s.dir, strconv.FormatInt(number, 10)),
		port: socketPort,
		tcp:  o.TCP,
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Remove())
		}
	}()
	if err := os.Mkdir(c.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a cluster's directory: %w", err)
	}
	if err := s.own(c.dir); err != nil {
		return nil, err
	}
	if o.TCP {
		if c.port, err = freePort(); err != nil {
			return nil, err
		}
	}
	if err := c.fill(o); err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, err
	}
	if o.StandbyOf != nil && o.Synchronous {
		if err := o.StandbyOf.waitFor(c.name); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// fill makes the data directory, from the template or from the primary, and its settings.
func (c *Cluster) fill(o Options) error {
	c.settings = map[string]string{
		"cluster_name":            c.name,
		"port":                    strconv.Itoa(c.port),
		"unix_socket_directories": c.dir,
		"listen_addresses":        "",
		"shared_buffers":          "128MB",
		"max_wal_size":            "256MB", // the directory may be in memory
		// A standby that was away finds the log that it missed.
		"wal_keep_size": "128MB",
	}
	if c.tcp {
		c.settings["listen_addresses"] = "127.0.0.1"
	}
	if o.StandbyOf == nil {
		maps.Copy(c.settings, o.Settings)
		if err := c.site.run("/bin/cp", "-R", "-p", c.site.template, c.data()); err != nil {
			return err
		}
		return c.configure()
	}
	if err := c.follow(o.StandbyOf); err != nil {
		return err
	}
	maps.Copy(c.settings, o.Settings)
	return c.configure()
}

// configure writes the settings.
func (c *Cluster) configure() error {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.settings)) {
		fmt.Fprintf(&text, "%s = '%s'\n", name, strings.ReplaceAll(c.settings[name], "'", "''"))
	}
	return c.site.write(filepath.Join(c.data(), settingsFile), text.String())
}

// freePort returns a port that nobody listens on now.
func freePort() (int, error) {
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return 0, errors.Join(fmt.Errorf("%s is no TCP address", listener.Addr()), listener.Close())
	}
	return address.Port, listener.Close()
}

// Directory has the cluster's socket, its log (log) and its data directory (data).
func (c *Cluster) Directory() string { return c.dir }

// Port is what it listens at: on TCP if it was asked to, and in the name of its socket.
func (c *Cluster) Port() int { return c.port }

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *Cluster) log() string { return filepath.Join(c.dir, "log") }

// DSN is the address of a database, as a URL: by TCP if the cluster listens there, else by its
// socket. There is always a database named postgres. It stays the same when the cluster restarts.
func (c *Cluster) DSN(database string) string {
	if c.tcp {
		return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", superuser, c.port, url.PathEscape(database))
	}
	query := url.Values{"host": {c.dir}, "port": {strconv.Itoa(c.port)}, "user": {superuser}}
	return fmt.Sprintf("postgres:///%s?%s", url.PathEscape(database), query.Encode())
}

// Start starts a server that was stopped, and returns when it accepts connections. It does
// nothing when the server runs.
func (c *Cluster) Start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.start()
}

func (c *Cluster) start() error {
	if c.server != nil && c.server.running() {
		return nil
	}
	server, err := launch(c.site, c.data(), c.log())
	if err != nil {
		return err
	}
	c.server = server
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		conn, err := c.connect(ctx)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ticker.C:
		case <-server.done:
			return fmt.Errorf("PostgreSQL ended before it was ready (%w); its log:\n%s", server.status, tail(c.log()))
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL was not ready in time: %w; its log:\n%s",
				errors.Join(err, server.stop(Immediate)), tail(c.log()))
		}
	}
}

// Stop stops the server and returns when it is gone. It does nothing when the server is stopped.
func (c *Cluster) Stop(mode Mode) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stop(mode)
}

func (c *Cluster) stop(mode Mode) error {
	if mode != Fast && mode != Immediate {
		return fmt.Errorf("stop PostgreSQL: %q is neither fast nor immediate", mode)
	}
	if c.server == nil || !c.server.running() {
		return nil
	}
	if err := c.server.stop(mode); err != nil {
		return fmt.Errorf("%w; its log:\n%s", err, tail(c.log()))
	}
	return nil
}

// Remove stops the server, if it runs, and removes its data.
func (c *Cluster) Remove() error { return errors.Join(c.Stop(Immediate), os.RemoveAll(c.dir)) }

// Restart stops the server and starts it again; nobody else starts it in between.
func (c *Cluster) Restart(mode Mode) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.stop(mode); err != nil {
		return err
	}
	return c.start()
}

// connect connects to the database postgres.
func (c *Cluster) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, c.DSN("postgres"))
}

// execute runs statements, each on its own, on one connection to the database postgres.
func (c *Cluster) execute(statements ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", statement, err), conn.Close(ctx))
		}
	}
	return conn.Close(ctx)
}

// Create creates an empty database and returns its name.
func (c *Cluster) Create() (name string, err error) {
	// A standby that was promoted has its primary's databases too, so the name of the cluster is
	// in theirs. Nobody can connect to template0, so any number of databases copy it at once.
	name = fmt.Sprintf("%s_%d", c.name, c.count.Add(1))
	create := "CREATE DATABASE " + name + " TEMPLATE template0"
	// Copying files takes two checkpoints but no log: it is several times faster where those do
	// not sync, and slower where they do. Before version 15 there is no other way.
	if c.settings["fsync"] == "off" && c.site.version >= 15 {
		create += " STRATEGY file_copy"
	}
	return name, c.execute(create)
}

// Drop drops a database that Create created, whoever is connected to it.
func (c *Cluster) Drop(name string) error {
	return c.execute("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)")
}

// Process is the id of the server's first process, the parent of all others. The server runs.
func (c *Cluster) Process() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server.cmd.Process.Pid
}

// Version is that of PostgreSQL, such as 15.
func (c *Cluster) Version() int { return c.site.version }
