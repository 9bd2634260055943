//go:build unix

package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/longshore-queue/longshore/client"
)

// dependenciesName is what os.CreateTemp makes the names of the files of.
const dependenciesName = "longshore-dependencies-*.json"

// dependenciesFile is the file for LONGSHORE_DEPENDENCIES. It is locked for as long as the worker
// lives and needs it.
type dependenciesFile struct{ file *os.File }

// writeDependencies writes what became of dependencies to a file that only its owner can read.
func (r *Runner) writeDependencies(dependencies []client.Dependency) (*dependenciesFile, error) {
	if dependencies == nil {
		dependencies = []client.Dependency{}
	}
	content, err := json.Marshal(dependencies)
	if err != nil {
		return nil, fmt.Errorf("encode the results of dependencies: %w", err)
	}
	file, err := createLocked(r.options.TempDir)
	if err != nil {
		return nil, fmt.Errorf("write the results of dependencies: %w", err)
	}
	d := &dependenciesFile{file: file}
	if _, err := file.Write(content); err != nil {
		d.remove()
		return nil, fmt.Errorf("write the results of dependencies: %w", err)
	}
	return d, nil
}

// createLocked creates a file, and again if a worker that sweeps takes it before it is locked.
func createLocked(dir string) (*os.File, error) {
	for {
		file, err := os.CreateTemp(dir, dependenciesName) // mode 0600
		if err != nil {
			return nil, err
		}
		_ = lock(file, syscall.LOCK_SH) // where there are no locks, nobody gets one who sweeps either
		if _, err := os.Lstat(file.Name()); err == nil {
			return file, nil
		}
		_ = file.Close()
	}
}

// lock takes the file for this process, how being syscall.LOCK_SH or more. The lock ends with the
// process at the latest.
func lock(file *os.File, how int) error {
	for {
		if err := syscall.Flock(int(file.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

func (d *dependenciesFile) name() string { return d.file.Name() }

func (d *dependenciesFile) remove() {
	_ = os.Remove(d.file.Name()) // there is nothing to be done about it
	_ = d.file.Close()
}

// Sweep removes the files that workers which were killed have left in Options.TempDir. It leaves
// those of workers that live alone, and whatever it may not read.
func (r *Runner) Sweep() {
	dir := r.options.TempDir
	if dir == "" {
		dir = os.TempDir()
	}
	names, err := filepath.Glob(filepath.Join(dir, dependenciesName))
	if err != nil {
		return // the directory's name is a pattern itself
	}
	for _, name := range names {
		file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
		if err != nil {
			continue
		}
		if lock(file, syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.Remove(name)
		}
		_ = file.Close()
	}
}
