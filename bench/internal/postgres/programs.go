package postgres

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// ErrNotInstalled says that there is no PostgreSQL to be found.
var ErrNotInstalled = errors.New("no PostgreSQL was found; say where its initdb and postgres are")

// Find returns the directory of PostgreSQL's programs: the one on the path, or else the newest
// of those where distributions put them, which is not on the path of everybody.
func Find() (string, error) {
	if program, err := exec.LookPath("initdb"); err == nil {
		// A package's link leads to a directory that has the others too.
		if program, err = filepath.EvalSymlinks(program); err == nil && complete(filepath.Dir(program)) {
			return filepath.Dir(program), nil
		}
	}
	var newest string
	version := 0
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql@*/bin"} {
		directories, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		for _, directory := range directories {
			if v := versionOf(directory); complete(directory) && (newest == "" || v > version) {
				newest, version = directory, v
			}
		}
	}
	if newest == "" {
		return "", ErrNotInstalled
	}
	return newest, nil
}

// complete reports whether a directory has what is needed.
func complete(directory string) bool {
	return !slices.ContainsFunc([]string{"initdb", "postgres"}, func(program string) bool {
		_, err := os.Stat(filepath.Join(directory, program))
		return err != nil
	})
}

// versionOf reads the version off the name of the directory above: 15, postgresql@15, pgsql-15.
// It is 0 if there is none.
func versionOf(directory string) int {
	name := filepath.Base(filepath.Dir(directory))
	digits := len(name)
	for digits > 0 && '0' <= name[digits-1] && name[digits-1] <= '9' {
		digits--
	}
	version, err := strconv.Atoi(name[digits:])
	if err != nil {
		return 0
	}
	return version
}

// credential is whom PostgreSQL runs as: nobody in particular if this program is not root, and
// else a user without rights, since PostgreSQL refuses to run as root.
func credential(name string) (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	names := []string{"postgres", "nobody"}
	if name != "" {
		names = []string{name}
	}
	for _, name := range names {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(account.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(account.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, fmt.Errorf("the ids of the user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no user %q to run it as", names[0])
}
