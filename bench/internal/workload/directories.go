package workload

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// fillTimeout bounds the filling of a directory.
const fillTimeout = 10 * time.Minute

// directories are the stores of the embedded engine.
type directories struct{ *Bench }

func (d directories) fresh(context.Context) (string, error) { return os.MkdirTemp(d.Work, "store-") }

func (d directories) remove(_ context.Context, store string) error { return os.RemoveAll(store) }

func (d directories) arguments(store string) []string { return []string{"--store", store} }

func (d directories) copyOf(ctx context.Context, store string) (string, error) {
	to, err := d.fresh(ctx)
	if err != nil {
		return "", err
	}
	if err := copyStore(to, store); err != nil {
		return "", closing(err, d.remover(ctx, to))
	}
	return to, nil
}

// fill goes through the engine, in a process of its own, which is the fastest way.
func (d directories) fill(ctx context.Context, store, kind string, jobs int) (ids span, err error) {
	ctx, cancel := context.WithTimeout(ctx, fillTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, d.Self, "fill", "--store", store, "--jobs", strconv.Itoa(jobs), "--kind", kind)
	var complaint strings.Builder
	command.Stderr = &complaint
	output, err := command.Output()
	if err != nil {
		return span{}, fmt.Errorf("fill a store: %w\n%s", err, complaint.String())
	}
	if _, err := fmt.Sscan(string(output), &ids.first, &ids.last); err != nil {
		return span{}, fmt.Errorf("fill a store: it printed %q: %w", output, err)
	}
	return ids, nil
}

// size looks at files, of which some may be removed meanwhile.
func (d directories) size(_ context.Context, store string) (float64, error) {
	size := int64(0)
	err := filepath.WalkDir(store, func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && entry.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return float64(size) / 1e6, err
}
