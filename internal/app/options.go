package app

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"time"

	"github.com/sirupsen/logrus"
	"go.opentelemetry.io/otel/trace"

	"github.com/longshore-queue/longshore/internal/queue"
)

// InMemory is the Store that keeps nothing.
const InMemory = "memory"

// Options say what a server is to be. Zero durations and sizes are not defaults here: the
// flags of cmd/server have those.
type Options struct {
	// Listen is the TCP address to listen on, as host:port. Port 0 takes any that is free.
	Listen string
	// AdminListen is the TCP address of the metrics and of what helps to look into the process, as
	// host:port; "" for none. The host must be a loopback address, unless Insecure is set.
	AdminListen string
	// Store is a directory, made if it is not there, or InMemory, or the address of a PostgreSQL
	// database, which begins with postgres://.
	Store string
	// Migrate has the database's schema brought up to date before it is used.
	Migrate bool
	// PollInterval is how often to look for what other servers on the database did, in case that no
	// notification tells. NoListen has none waited for, as a pool of connections wants it.
	PollInterval time.Duration
	NoListen     bool
	// DatabaseConnections is how many connections to the database there are at most, besides the one that
	// waits for notifications.
	DatabaseConnections int
	// HeartbeatTimeout is how long a lease lasts without a heartbeat, unless its job has a
	// number of its own.
	HeartbeatTimeout time.Duration
	// ReapInterval is how often silent leases are looked for.
	ReapInterval time.Duration
	// MaxRetries is how often a job whose worker went silent goes back in line, unless the
	// job has a number of its own.
	MaxRetries uint64
	// MaxWait caps the wait_seconds of requests.
	MaxWait time.Duration
	// MaxBodyBytes is how long a request's body may be, in bytes; that of a batch may be
	// MaxBatchBytes long, and one with a result as long as that needs.
	MaxBodyBytes  int64
	MaxBatchBytes int64
	// MaxArgsBytes is how long the args of a job may be, in bytes.
	MaxArgsBytes int64
	// MaxResultBytes is how long a result, a partial result, or the details of an error may be,
	// in bytes.
	MaxResultBytes int64
	// IdempotencyTTL is how long calls with an idempotency key are remembered.
	IdempotencyTTL time.Duration
	// MaxConnections is how many connections there may be at the same time; 0 for as many as the
	// limit of open files leaves, which bounds them in any case.
	MaxConnections int
	// MaxWaiting is how many calls may wait at the same time, and MaxWaitingPerCredential how many of
	// each credential; 0 is no bound.
	MaxWaiting              int
	MaxWaitingPerCredential int
	// RateLimit is how many requests a second each credential may make; 0 is no bound.
	RateLimit float64
	// QuotaJobs is how many jobs a channel may have that are not over; 0 is no bound.
	QuotaJobs int64
	// QuotaBytes is how many bytes the args of those may have together; 0 is no bound.
	QuotaBytes int64
	// MemoryLimit is how much memory the process should use at most, in bytes. 0 is what GOMEMLIMIT
	// says, which is no bound unless it is set.
	MemoryLimit int64
	// BackupDir is the directory that backups are made in; "" for none. A store that is InMemory
	// has none.
	BackupDir string
	// Retention is how long a job that is over is kept; 0 for ever.
	Retention time.Duration
	// Auth are the kinds of credentials that a request may have, and must have one of; none to ask
	// nobody who they are.
	Auth []string
	// Insecure allows a Listen that others can reach although nobody is asked who they are, and an AdminListen
	// that they can, where nobody ever is.
	Insecure bool
	// AllowedHost are names besides "localhost" that requests may be for where nobody is asked who they are and
	// only this machine reaches the server or its admin listener.
	AllowedHost []string
	// TLSCert and TLSKey are files of the server's certificate and its key, in PEM: with them it speaks
	// TLS and nothing else. TLSClientCA is one of the authorities that sign certificates of clients; ""
	// for none. Files that change are read again.
	TLSCert, TLSKey string
	TLSClientCA     string
	// AuthKeysFile is a file of API keys, besides those in the store; "" for none.
	AuthKeysFile string
	// OIDC says which tokens of an OpenID Connect issuer are good.
	OIDC OIDCOptions
	// AuthMTLSFile is a file of the subjects of certificates, and of what each may do.
	AuthMTLSFile string
	// Tracer makes spans of requests; nil for none.
	Tracer trace.Tracer
	// Logger gets everything; nil for nobody.
	Logger *logrus.Logger
}

// maxSize is the largest size that can be asked for, in bytes: bodies are read into memory
// whole.
const maxSize = 1 << 30

// OptionError tells which option is not acceptable, and why.
type OptionError struct {
	Option string // as the field of Options is called
	Reason string
}

func (e *OptionError) Error() string { return e.Option + " " + e.Reason }

// validate returns an *OptionError for the first option that makes no sense.
func (o Options) validate() error {
	if !isAddress(o.Listen) {
		return &OptionError{"Listen", fmt.Sprintf("must be HOST:PORT, with a port from 0 to 65535, not %q", o.Listen)}
	}
	if err := o.validateAdmin(); err != nil {
		return err
	}
	if wrong := WrongStore(o.Store); wrong != "" {
		return &OptionError{"Store", wrong}
	}
	for _, d := range []struct {
		option string
		value  time.Duration
	}{
		{"HeartbeatTimeout", o.HeartbeatTimeout},
		{"ReapInterval", o.ReapInterval},
		{"MaxWait", o.MaxWait},
		{"IdempotencyTTL", o.IdempotencyTTL},
	} {
		if d.value <= 0 {
			return &OptionError{d.option, fmt.Sprintf("must be more than 0, not %s", d.value)}
		}
	}
	if err := o.validateTLS(); err != nil {
		return err
	}
	if o.BackupDir != "" && IsDatabase(o.Store) {
		return &OptionError{"BackupDir", "makes no sense with PostgreSQL, which has its own ways to make backups"}
	}
	if err := o.validateDatabase(); err != nil {
		return err
	}
	if err := o.validateAuth(); err != nil {
		return err
	}
	if o.BackupDir != "" && o.Store == InMemory {
		return &OptionError{"BackupDir", "makes no sense with a store that is kept in memory"}
	}
	if o.Retention < 0 {
		return &OptionError{"Retention", fmt.Sprintf("must not be negative: %s", o.Retention)}
	}
	if o.MaxRetries > queue.MaxRetriesLimit {
		return &OptionError{"MaxRetries", fmt.Sprintf("must be at most %d, not %d", queue.MaxRetriesLimit, o.MaxRetries)}
	}
	for _, size := range []struct {
		option string
		value  int64
	}{
		{"MaxBodyBytes", o.MaxBodyBytes},
		{"MaxBatchBytes", o.MaxBatchBytes},
		{"MaxArgsBytes", o.MaxArgsBytes},
		{"MaxResultBytes", o.MaxResultBytes},
	} {
		if size.value <= 0 || size.value > maxSize {
			return &OptionError{size.option, fmt.Sprintf("must be from 1 to %d, not %d", maxSize, size.value)}
		}
	}
	return o.validateLimits()
}

// validateTLS tells whether the files for TLS that belong together are all named.
func (o Options) validateTLS() error {
	switch {
	case o.TLSCert == "" && o.TLSKey != "":
		return &OptionError{"TLSKey", "makes no sense without --tls-cert"}
	case o.TLSCert != "" && o.TLSKey == "":
		return &OptionError{"TLSCert", "makes no sense without --tls-key"}
	case o.TLSCert == "" && o.TLSClientCA != "":
		return &OptionError{"TLSClientCA", "makes no sense without --tls-cert and --tls-key"}
	default:
		return nil
	}
}

// validateDatabase validates what concerns a database only.
func (o Options) validateDatabase() error {
	switch {
	case !IsDatabase(o.Store) && o.Migrate:
		return &OptionError{"Migrate", "is for stores in PostgreSQL"}
	case !IsDatabase(o.Store) && o.NoListen:
		return &OptionError{"NoListen", "is for stores in PostgreSQL"}
	case !IsDatabase(o.Store):
		return nil
	case o.PollInterval < 10*time.Millisecond || o.PollInterval > time.Minute:
		return &OptionError{"PollInterval", fmt.Sprintf("must be from 10ms to 1m, not %s", o.PollInterval)}
	case o.DatabaseConnections < 2 || o.DatabaseConnections > 1000:
		return &OptionError{"DatabaseConnections", fmt.Sprintf("must be from 2 to 1000, not %d", o.DatabaseConnections)}
	default:
		return nil
	}
}

// hostNames are what a host may look like that is no address. Whether there is such a host is
// for the resolver to say.
var hostNames = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_.])?$`)

// isAddress tells whether an address can be listened on at all, as far as its form goes. No
// host is every address of the machine.
func isAddress(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return false
	}
	_, err = netip.ParseAddr(host)
	return host == "" || err == nil || hostNames.MatchString(host)
}
