//go:build !unix

package client

import (
	"errors"
	"os"
)

// lockFile refuses: without a lock two workers could adopt the same leases.
func lockFile(*os.File) error { return errors.ErrUnsupported }
