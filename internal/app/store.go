package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/sirupsen/logrus"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/auth/apikey"
	"github.com/longshore-queue/longshore/internal/logging"
	"github.com/longshore-queue/longshore/internal/processors"
	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/embedded"
	"github.com/longshore-queue/longshore/internal/queue/postgres"
	"github.com/longshore-queue/longshore/internal/reaper"
)

// store is what the parts of a server need of an engine.
type store interface {
	api.Queue
	reaper.Queue
	reaper.Store
	apikey.Store
	// Close ends the engine, and everybody who waits for it. Calls that come later are
	// answered with queue.ErrUnavailable.
	Close() error
}

// backer is an engine that makes backups of itself.
type backer interface {
	Backup(ctx context.Context, directory string) (bytes int64, err error)
}

// IsDatabase reports whether a Store is the address of a PostgreSQL database.
func IsDatabase(store string) bool {
	return strings.HasPrefix(store, "postgres://") || strings.HasPrefix(store, "postgresql://")
}

// WrongStore says what is wrong with what a Store is called; "" if nothing is. An address that is not that of a
// database is no directory: it would be made, and its name, with a password in it, be in the log.
func WrongStore(store string) string {
	switch {
	case store == "":
		return "must not be empty"
	case !IsDatabase(store) && (strings.Contains(store, "://") || strings.Contains(store, "password=")):
		return "must be a directory, or the address of a database, which begins with postgres://"
	default:
		return ""
	}
}

// openStore opens the engine that the options name.
func (a *App) openStore(ctx context.Context) (store, error) {
	if IsDatabase(a.options.Store) {
		return a.openDatabase(ctx)
	}
	if a.options.Store != InMemory {
		processors.OneMore()
	}
	var observer embedded.Observer
	if a.metrics != nil {
		observer = a.metrics.Embedded()
	}
	s, err := a.open(a.options.Store, embedded.Options{
		Observer:       observer,
		Logger:         logging.Adapt(a.log),
		IdempotencyTTL: a.options.IdempotencyTTL,
		MemoryLimit:    a.memoryLimit(),
		OnFailure:      func(err error) { a.fail(fmt.Errorf("the store failed: %w", err)) },
	})
	if errors.Is(err, embedded.ErrInUse) {
		return nil, fmt.Errorf("open the store: %s is in use by another server", a.options.Store)
	}
	if err != nil {
		return nil, fmt.Errorf("open the store in %s: %w", a.options.Store, err)
	}
	if a.metrics != nil {
		a.metrics.AddEmbedded(s.Stats)
	}
	return s, nil
}

// openDatabase opens the engine on PostgreSQL, and brings its schema up to date first if the options
// say so.
func (a *App) openDatabase(ctx context.Context) (store, error) {
	name := NameOfStore(a.options.Store)
	if a.options.Migrate {
		steps, err := postgres.Migrate(ctx, a.options.Store)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, step := range steps {
			a.log.WithFields(logrus.Fields{"version": step.Version, "name": step.Name}).Info("migrated the database")
		}
	}
	var observer postgres.Observer
	if a.metrics != nil {
		observer = a.metrics.Postgres()
	}
	s, err := postgres.Open(ctx, a.options.Store, postgres.Options{
		Observer:       observer,
		Logger:         logging.Adapt(a.log),
		IdempotencyTTL: a.options.IdempotencyTTL,
		PollInterval:   a.options.PollInterval,
		Connections:    a.options.DatabaseConnections,
		NoListen:       a.options.NoListen,
	})
	if err != nil {
		return nil, fmt.Errorf("open the store in %s: %w", name, err)
	}
	if a.metrics != nil {
		a.metrics.AddPostgres(s.Stats)
	}
	return s, nil
}

// NameOfStore is how a Store is called in logs: the address of a database without what is secret in
// it.
func NameOfStore(store string) string {
	if !IsDatabase(store) {
		return store
	}
	address, err := url.Parse(store)
	if err != nil {
		return "postgres://"
	}
	address.User, address.RawQuery, address.Fragment = nil, "", ""
	return address.String()
}

// backup makes backups; nil if there is no place for them.
func (a *App) backup() func(ctx context.Context, name string) (queue.Backup, error) {
	directory := a.options.BackupDir
	engine, makes := a.store.(backer)
	if directory == "" || !makes {
		return nil
	}
	return func(ctx context.Context, name string) (queue.Backup, error) {
		if err := os.MkdirAll(directory, 0o700); err != nil {
			return queue.Backup{}, fmt.Errorf("make the directory of backups: %w", err)
		}
		bytes, err := engine.Backup(ctx, filepath.Join(directory, name))
		return queue.Backup{Name: name, Bytes: bytes}, err
	}
}

// openEngine opens the engine at a path, which may be InMemory.
func openEngine(path string, options embedded.Options) (*embedded.Store, error) {
	if path == InMemory {
		return embedded.OpenMemory(options)
	}
	return embedded.Open(path, options)
}
