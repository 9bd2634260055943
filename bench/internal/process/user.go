package process

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// nobody is whom servers of others run as where this program is root.
const nobody = "nobody"

// Unprivileged is whom to run a server of others as: a user without rights if this program is
// root, else nil.
func Unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup(nobody)
	if err != nil {
		return nil, fmt.Errorf("find a user to run servers as, which root should not: %w", err)
	}
	uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return nil, fmt.Errorf("the ids of the user %s: %w", nobody, err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// Directory makes a directory that belongs to whom a server runs as, and is closed to everybody
// else. The one above is opened just enough to be passed.
func Directory(path string, as *syscall.Credential) error {
	if err := os.Mkdir(path, 0o700); err != nil || as == nil {
		return err
	}
	if err := os.Chmod(filepath.Dir(path), 0o711); err != nil {
		return err
	}
	return os.Chown(path, int(as.Uid), int(as.Gid))
}
