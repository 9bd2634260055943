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
		Description: "Longshore is a job queue for workers that are somewhere else. This is its server. longshore-server audit, copy, key and migrate look after stores; each has its own --help.",
		Stdout:      stdout,
		Stderr:      stderr,
	}
}

// flags are what the server can be told. Durations are Go's: 90s, 2m30s.
type flags struct {
	Listen              string        `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address to listen on. Port 0 takes a free one; the log says which."`
	AdminListen         string        `placeholder:"HOST:PORT" help:"Address of /metrics, /healthz, /readyz and /debug for operators, only on this machine unless --insecure is given. Without it there is no such listener."`
	Store               string        `default:"./longshore-data" placeholder:"DIR|memory|postgres://..." help:"Directory of the store, made if it does not exist; or the address of a PostgreSQL database, which other servers may use too; or 'memory' to keep nothing."`
	Migrate             bool          `help:"Bring the schema of the database up to date first."`
	PollInterval        time.Duration `default:"1s" help:"How often to look for changes made by other servers, in case a notification was lost."`
	DatabaseConnections int           `default:"8" help:"The most connections to the database, besides the one that waits for notifications, and one that adds up bytes after an update."`
	NoListen            bool          `help:"Wait for no notifications of the database, only poll: for a pool such as PgBouncer that hands out connections by transaction."`
	HeartbeatTimeout    time.Duration `default:"120s" help:"How long a lease lasts without a heartbeat, unless its job says otherwise."`
	ReapInterval        time.Duration `default:"30s" help:"How often to look for silent leases."`
	MaxRetries          uint64        `default:"2" help:"How often a job goes back in line after its worker went silent, unless the job says otherwise."`
	MaxWait             time.Duration `default:"60s" help:"The longest that a request may wait for a job."`
	MaxBodyBytes        int64         `default:"1048576" help:"The longest body of a request, in bytes; one with a result may be as long as the result needs."`
	MaxBatchBytes       int64         `default:"33554432" help:"The longest body of a batch of jobs, in bytes."`
	MaxArgsBytes        int64         `default:"262144" help:"The longest args of a job, in bytes."`
	MaxResultBytes      int64         `default:"1048576" help:"The longest result, partial result, or details of an error, in bytes."`
	IdempotencyTTL      time.Duration `default:"24h" help:"How long a call with an Idempotency-Key is remembered."`
	Retention           time.Duration `default:"168h" help:"How long a job is kept once it is over; 0 for ever."`
	BackupDir           string        `placeholder:"DIR" help:"Directory for the backups of POST /v1/admin/backup, which is refused without it."`
	Auth                []string      `placeholder:"KIND" help:"Kind of credentials to accept: keys, oidc or mtls; repeatable. Every request must have one. Without this flag none are asked for."`
	AuthMTLSFile        string        `placeholder:"FILE" help:"File that says what each client certificate may do, a line of JSON for each subject. Read again on SIGHUP."`
	OIDC                oidcFlags     `embed:"" prefix:"oidc-"`
	TLSCert             string        `placeholder:"FILE" help:"The server's certificate in PEM, followed by the intermediate ones. With it and --tls-key the server speaks only TLS. Read again when it changes."`
	TLSKey              string        `placeholder:"FILE" help:"Private key of the certificate, in PEM."`
	TLSClientCA         string        `placeholder:"FILE" help:"Authorities that sign client certificates, in PEM."`
	AuthKeysFile        string        `placeholder:"FILE" help:"File with more API keys, besides those in the store: lines that longshore-server key create --print-line printed. Read again on SIGHUP."`
	Insecure            bool          `help:"Let others reach a server without --auth: whoever can connect to --listen may do everything. Also let others reach --admin-listen, which asks for no credentials."`
	AllowedHost         []string      `sep:"none" placeholder:"NAME" help:"Host name to accept in requests, besides localhost and loopback addresses. It matters without --auth and --insecure, and at an --admin-listen that is a loopback address. Repeatable; in the variable, one a line."`
	OtlpEndpoint        string        `placeholder:"URL" help:"Where to send traces, as OTLP over HTTP, such as http://127.0.0.1:4318. The standard OTEL_... variables set the rest, and the endpoint too if this flag is not given. Without an endpoint none are sent."`
	ShutdownTimeout     time.Duration `default:"30s" help:"How long requests in flight may take once the server is stopped."`
	LogLevel            string        `default:"info" enum:"debug,info,warn,error" help:"What to log: ${enum}. At info there is a line for each request."`
	LogFormat           string        `default:"json" enum:"json,text" help:"How to log: ${enum}. Logs go to the standard error."`

	MaxConnections          int     `default:"16384" help:"How many connections there may be at the same time. Further ones are closed at once. 0 for as many as the limit of open files allows, which bounds them in any case."`
	MaxWaiting              int     `default:"16384" help:"How many calls may wait for something at the same time; 0 for any number."`
	MaxWaitingPerCredential int     `placeholder:"N" help:"The same for the calls of each credential."`
	RateLimit               float64 `placeholder:"N" help:"How many requests a second each credential may make; 0 for any number."`
	QuotaJobs               int64   `placeholder:"N" help:"How many jobs that are not over each channel may have; 0 for any number."`
	QuotaBytes              int64   `placeholder:"N" help:"How many bytes the args of those jobs may have together; 0 for any number."`
	MemoryLimit             int64   `placeholder:"BYTES" help:"How much memory the server should use. Close to it, only heartbeats and reports are taken. Without it, GOMEMLIMIT counts."`
}

// oidcFlags say which tokens of an OpenID Connect issuer are good.
type oidcFlags struct {
	Issuer         string   `placeholder:"URL" help:"Issuer of tokens, exactly as in their iss."`
	Audience       string   `placeholder:"NAME" help:"What must be in the aud of tokens."`
	Algorithm      []string `placeholder:"NAME" help:"Algorithm to accept instead of RS256, ES256 and EdDSA; repeatable."`
	ScopesClaim    string   `default:"scope" placeholder:"CLAIM" help:"Claim with the scopes; a JSON pointer such as /realm_access/roles for one inside another."`
	ScopePrefix    string   `placeholder:"TEXT" help:"What comes before each scope in its claim; other values are ignored."`
	DefaultScope   []string `placeholder:"SCOPE" help:"Scope that every valid token has; repeatable."`
	ChannelClaim   string   `placeholder:"CLAIM" help:"Claim with the channels, or a JSON pointer."`
	ChannelPrefix  string   `placeholder:"TEXT" help:"What to put before each channel of the claim, such as org-."`
	DefaultChannel []string `placeholder:"NAME" help:"Channel that every valid token has; repeatable."`
	AllChannels    bool     `help:"Let * in the claim of channels stand for every channel."`
}

// Validate checks what neither cli nor app can.
func (f *flags) Validate() error {
	if f.ShutdownTimeout < 0 {
		return fmt.Errorf("--shutdown-timeout must not be negative: %s", f.ShutdownTimeout)
	}
	return nil
}
