package main

import (
	"fmt"
	"io"
	"time"

	"github.com/longshore-queue/longshore/internal/cli"
)

// program is the server as its user sees it.
func program(stdout, stderr io.Writer) cli.Program {
	return cli.Program{
		Name:        "longshore-server",
		Description: "Longshore is a job queue for workers that are somewhere else. This is its server. longshore-server audit, copy, key and migrate look after stores; each has a --help.",
		Stdout:      stdout,
		Stderr:      stderr,
	}
}

// flags are what the server can be told. Durations are Go's: 90s, 2m30s.
type flags struct {
	Listen              string        `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address to listen on. Port 0 takes any that is free; the log tells which."`
	AdminListen         string        `placeholder:"HOST:PORT" help:"Address of /metrics, /healthz, /readyz and /debug for operators, on this machine only unless --insecure is given. None unless it is given."`
	Store               string        `default:"./longshore-data" placeholder:"DIR|memory|postgres://..." help:"Directory of the store, made if it is not there; or the address of a PostgreSQL database, which other servers may use too; or 'memory' to keep nothing."`
	Migrate             bool          `help:"Bring the schema of the database up to date first."`
	PollInterval        time.Duration `default:"1s" help:"How often to look for what other servers on the database did, in case that a notification got lost."`
	DatabaseConnections int           `default:"8" help:"How many connections to the database there are at most, besides the one that waits for notifications, and one that adds up bytes after an update."`
	NoListen            bool          `help:"Wait for no notifications of the database, only poll; for a pool such as PgBouncer that hands out connections by transaction."`
	HeartbeatTimeout    time.Duration `default:"120s" help:"How long a lease lasts without a heartbeat, unless its job says otherwise."`
	ReapInterval        time.Duration `default:"30s" help:"How often to look for leases that went silent."`
	MaxRetries          uint64        `default:"2" help:"How often a job goes back in line after its worker went silent, unless the job says otherwise."`
	MaxWait             time.Duration `default:"60s" help:"The longest that a request may wait for a job."`
	MaxBodyBytes        int64         `default:"1048576" help:"The longest body that a request may have, in bytes; one with a result may be as long as that needs."`
	MaxBatchBytes       int64         `default:"33554432" help:"The longest body that a batch of jobs may have, in bytes."`
	MaxArgsBytes        int64         `default:"262144" help:"The longest args that a job may have, in bytes."`
	MaxResultBytes      int64         `default:"1048576" help:"The longest result, partial result, or details of an error, in bytes."`
	IdempotencyTTL      time.Duration `default:"24h" help:"How long calls with an Idempotency-Key are remembered."`
	Retention           time.Duration `default:"168h" help:"How long a job is kept that is over; 0 for ever."`
	BackupDir           string        `placeholder:"DIR" help:"Directory that backups are made in, by POST /v1/admin/backup. None are made unless it is given."`
	Auth                []string      `placeholder:"KIND" help:"Kind of credentials that requests must have one of; may be there several times. Without it nobody is asked who they are."`
	AuthMTLSFile        string        `placeholder:"FILE" help:"File that says what each certificate of a client may do, a line of JSON for each subject. Read again on SIGHUP."`
	OIDC                oidcFlags     `embed:"" prefix:"oidc-"`
	TLSCert             string        `placeholder:"FILE" help:"Certificate of the server in PEM, with those between it and the root after it. With it and --tls-key the server speaks TLS only. Read again when it changes."`
	TLSKey              string        `placeholder:"FILE" help:"Private key of the certificate, in PEM."`
	TLSClientCA         string        `placeholder:"FILE" help:"Authorities that sign the certificates of clients, in PEM."`
	AuthKeysFile        string        `placeholder:"FILE" help:"File of API keys, besides those in the store, a line each as longshore-server key create --print-line prints it. Read again on SIGHUP."`
	Insecure            bool          `help:"Let others reach a server without --auth: whoever can connect to --listen may do everything. Also, let others reach --admin-listen, where nobody is asked either."`
	AllowedHost         []string      `sep:"none" placeholder:"NAME" help:"Name that requests may be for, besides localhost and loopback addresses, where there is neither --auth nor --insecure, and at an --admin-listen that is a loopback address. Repeatable; in the variable, one a line."`
	OtlpEndpoint        string        `placeholder:"URL" help:"Where to send traces, as OTLP over HTTP, such as http://127.0.0.1:4318. The standard variables, which begin with OTEL_, say the rest, and this too unless it is given. None are sent otherwise."`
	ShutdownTimeout     time.Duration `default:"30s" help:"How long to let requests end when the server is stopped."`
	LogLevel            string        `default:"info" enum:"debug,info,warn,error" help:"What to log: ${enum}. At info there is a line for each request."`
	LogFormat           string        `default:"json" enum:"json,text" help:"How to log: ${enum}. Logs go to the standard error."`

	MaxConnections          int     `default:"16384" help:"How many connections there may be at the same time. More are closed as they come. 0 for as many as the limit of open files leaves, which bounds them in any case."`
	MaxWaiting              int     `default:"16384" help:"How many calls may wait for something at the same time; 0 for any number."`
	MaxWaitingPerCredential int     `placeholder:"N" help:"The same for the calls of each credential."`
	RateLimit               float64 `placeholder:"N" help:"How many requests a second each credential may make; 0 for any number."`
	QuotaJobs               int64   `placeholder:"N" help:"How many jobs each channel may have that are not over; 0 for any number."`
	QuotaBytes              int64   `placeholder:"N" help:"How many bytes the args of the jobs may have together that a channel has and that are not over; 0 for any number."`
	MemoryLimit             int64   `placeholder:"BYTES" help:"How much memory the server should use. Close to it, only heartbeats and reports are taken. Unless it is given, GOMEMLIMIT counts."`
}

// oidcFlags say which tokens of an OpenID Connect issuer are good.
type oidcFlags struct {
	Issuer         string   `placeholder:"URL" help:"Issuer of tokens, exactly as it stands in them."`
	Audience       string   `placeholder:"NAME" help:"Who tokens must be for."`
	Algorithm      []string `placeholder:"NAME" help:"Algorithm that tokens may be signed with, instead of RS256, ES256 and EdDSA; may be there several times."`
	ScopesClaim    string   `default:"scope" placeholder:"CLAIM" help:"Claim that scopes are in; a JSON pointer such as /realm_access/roles for one inside of another."`
	ScopePrefix    string   `placeholder:"TEXT" help:"What comes before each scope in its claim; what begins with something else means nothing here."`
	DefaultScope   []string `placeholder:"SCOPE" help:"Scope that every token has; may be there several times."`
	ChannelClaim   string   `placeholder:"CLAIM" help:"Claim that channels are in; or a JSON pointer."`
	ChannelPrefix  string   `placeholder:"TEXT" help:"What to put before each channel of the claim, such as org-."`
	DefaultChannel []string `placeholder:"NAME" help:"Channel that every token has; may be there several times."`
	AllChannels    bool     `help:"Let * in the claim of channels stand for every channel."`
}

// Validate checks what neither cli nor app can.
func (f *flags) Validate() error {
	if f.ShutdownTimeout < 0 {
		return fmt.Errorf("--shutdown-timeout must not be negative: %s", f.ShutdownTimeout)
	}
	return nil
}
