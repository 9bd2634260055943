package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/longshore-queue/longshore/internal/api"
	"github.com/longshore-queue/longshore/internal/logging"
	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/embedded"
	"github.com/longshore-queue/longshore/internal/reaper"
)

// store is what the parts of a server need of an engine.
type store interface {
	api.Queue
	reaper.Queue
	reaper.Store
	Backup(ctx context.Context, directory string) (bytes int64, err error)
	// Close ends the engine, and everybody who waits for it. Calls that come later are
	// answered with queue.ErrUnavailable.
	Close() error
}

// openStore opens the engine that the options name.
func (a *App) openStore() (store, error) {
	s, err := a.open(a.options.Store, embedded.Options{
		Logger:         logging.Adapt(a.log),
		IdempotencyTTL: a.options.IdempotencyTTL,
		OnFailure:      func(err error) { a.fail(fmt.Errorf("the store failed: %w", err)) },
	})
	if errors.Is(err, embedded.ErrInUse) {
		return nil, fmt.Errorf("open the store: %s is in use by another server", a.options.Store)
	}
	if err != nil {
		return nil, fmt.Errorf("open the store in %s: %w", a.options.Store, err)
	}
	return s, nil
}

// backup makes backups; nil if there is no place for them.
func (a *App) backup() func(ctx context.Context, name string) (queue.Backup, error) {
	directory := a.options.BackupDir
	if directory == "" {
		return nil
	}
	return func(ctx context.Context, name string) (queue.Backup, error) {
		if err := os.MkdirAll(directory, 0o700); err != nil {
			return queue.Backup{}, fmt.Errorf("make the directory of backups: %w", err)
		}
		bytes, err := a.store.Backup(ctx, filepath.Join(directory, name))
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
