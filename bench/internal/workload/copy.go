package workload

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// copyStore copies the files of a store that nobody has open into a directory. They are on
// disk when it returns, so that no writing of them is left to disturb what is measured.
func copyStore(to, from string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("copy a store: %w", err)
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() {
			return fmt.Errorf("copy a store: %s is no file", entry.Name())
		}
		if err := copyFile(filepath.Join(to, entry.Name()), filepath.Join(from, entry.Name())); err != nil {
			return fmt.Errorf("copy a store: %w", err)
		}
	}
	return nil
}

func copyFile(to, from string) (err error) {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close() //nolint:errcheck // it was only read
	target, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	if _, err := io.Copy(target, source); err != nil {
		return err
	}
	return target.Sync()
}
