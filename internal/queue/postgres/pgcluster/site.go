package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// superuser is the role that owns every cluster.
	superuser = "postgres"
	// socketLimit is how long the path of a socket may be, in bytes. The lowest limit of
	// a system is 104.
	socketLimit = 100
	// programTimeout is how long one of PostgreSQL's programs may take, such as initdb.
	programTimeout = time.Minute
	// oldest is the first version that the engine is written for.
	oldest = 14
)

// ErrNotFound is returned by Open if there is no PostgreSQL. Who calls Open knows how to get it.
var ErrNotFound = errors.New("PostgreSQL's programs (postgres, initdb, pg_basebackup) are neither in PATH nor where " +
	"distributions put them, such as /usr/lib/postgresql/*/bin")

// Place says where a site may be. The zero Place works.
type Place struct {
	// Bin is the directory of PostgreSQL's programs; "" finds the newest there is.
	Bin string
	// Parent is the directory to make the site's own in, if others may enter it where that
	// matters; otherwise, and for "", it is in memory if there is room, else in /tmp or /var/tmp.
	Parent string
	// Dir is the site's directory itself, which must not be there yet, instead of one in Parent. Then
	// the site is there or nowhere: whoever measures syncs must not be given memory.
	Dir string
	// User is who runs PostgreSQL if the process is root's; "" is postgres, or else nobody.
	User string
}

// Site is where clusters live: one directory, and what they are made of. Any number of goroutines
// may use it.
type Site struct {
	bin      string
	dir      string
	template string // data directory that was initialized, which every cluster begins with
	version  int    // of PostgreSQL, such as 15
	// owner runs PostgreSQL, which refuses to be run by root; nil is the user of the process.
	owner    *syscall.Credential
	clusters atomic.Int64 // how many were made, to name them
	watcher  *exec.Cmd
	// alive is the end of a pipe that the system closes when the process ends, however it does.
	alive *os.File
}

// Open finds PostgreSQL and makes a site. ErrNotFound if there is no PostgreSQL. Close removes what
// it made, and so does the end of the process.
func Open(place Place) (_ *Site, err error) {
	s := &Site{}
	if s.bin, err = findBin(place.Bin); err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		if s.owner, err = unprivileged(place.User); err != nil {
			return nil, err
		}
	}
	if place.Dir != "" {
		s.dir, err = place.Dir, makeThere(place.Dir)
	} else {
		s.dir, err = makeDirectory(place.Parent)
	}
	if err != nil {
		return nil, err
	}
	if err := s.watch(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	if err := s.initialize(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// findBin finds PostgreSQL, the newest unless it is told which, as scripts/postgres does. Links are followed: a link to
// postgres in PATH leads to the other programs, and those of Debian in PATH are wrappers.
func findBin(dir string) (string, error) {
	if dir != "" {
		if !complete(dir) {
			return "", fmt.Errorf("%s has not all of postgres, initdb and pg_basebackup", dir)
		}
		return dir, nil
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil && complete(filepath.Dir(path)) {
			return filepath.Dir(path), nil
		}
	}
	var dirs []string
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql@*/bin"} {
		found, _ := filepath.Glob(pattern) // fails for a bad pattern only
		dirs = append(dirs, found...)
	}
	slices.SortFunc(dirs, func(a, b string) int { return version(b) - version(a) })
	for _, dir := range dirs {
		if complete(dir) {
			return dir, nil
		}
	}
	return "", ErrNotFound
}

// version reads the version off the name of the directory above: 15, postgresql@15, pgsql-15.
func version(bin string) int {
	name := filepath.Base(filepath.Dir(bin))
	n, _ := strconv.Atoi(name[strings.LastIndexAny(name, "@-")+1:]) // 0, the oldest, when it is no number
	return n
}

func complete(dir string) bool {
	for _, program := range []string{"postgres", "initdb", "pg_basebackup"} {
		if _, err := exec.LookPath(filepath.Join(dir, program)); err != nil {
			return false
		}
	}
	return true
}

// unprivileged returns who runs PostgreSQL when the process is root's.
func unprivileged(chosen string) (*syscall.Credential, error) {
	names := []string{"postgres", "nobody"}
	if chosen != "" {
		names = []string{chosen}
	}
	var failed error
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(errUID, errGID); err != nil {
			return nil, fmt.Errorf("look up user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("find a user to run PostgreSQL, which root may not: %w", failed)
}

// makeDirectory makes the site's directory, in the first place where it can be: where who runs
// PostgreSQL gets to, and with a path that is short enough for a socket's.
func makeDirectory(preferred string) (string, error) {
	var failed error
	for _, parent := range []string{preferred, memory(), "/tmp", "/var/tmp"} {
		if parent == "" {
			continue
		}
		if !traversable(parent) {
			failed = errors.Join(failed, fmt.Errorf("%s is not open to other users", parent))
			continue
		}
		dir, err := os.MkdirTemp(parent, "longshore-pg-")
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		if err := short(dir); err != nil {
			failed = errors.Join(failed, err, os.Remove(dir))
			continue
		}
		return dir, nil
	}
	return "", fmt.Errorf("make a directory for PostgreSQL: %w", failed)
}

// makeThere makes the site's directory where it has to be.
func makeThere(dir string) error {
	err := short(dir)
	if err == nil && !traversable(filepath.Dir(dir)) {
		err = fmt.Errorf("%s is not open to other users", filepath.Dir(dir))
	}
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	if err != nil {
		return fmt.Errorf("make a directory for PostgreSQL: %w", err)
	}
	return nil
}

// short fails if the path of a cluster's socket would be too long in a directory.
func short(dir string) error {
	if len(filepath.Join(dir, "999", ".s.PGSQL.65535")) < socketLimit {
		return nil
	}
	return fmt.Errorf("%s is too long for a socket's path", dir)
}

// traversable tells whether another user may reach what is in dir, where that matters.
func traversable(dir string) bool {
	if os.Geteuid() != 0 {
		return true
	}
	for {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		return true
	}
}

// watch starts a shell that waits until this process is gone, and removes the directory then. It
// tries again while servers that are ending too still write there.
func (s *Site) watch() error {
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe for the watcher of %s: %w", s.dir, err)
	}
	defer read.Close() //nolint:errcheck // the shell has its own
	const script = `cat; for i in 1 2 3 4 5 6 7 8 9 10; do rm -rf -- "$1" && exit; sleep 1; done`
	s.watcher = exec.CommandContext(context.Background(), "/bin/sh", "-c", script, "pgcluster", s.dir)
	s.watcher.Stdin = read
	// A Ctrl-C is for the process, whose end the shell waits for.
	s.watcher.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.watcher.Start(); err != nil {
		return errors.Join(fmt.Errorf("start the watcher of %s: %w", s.dir, err), write.Close())
	}
	s.alive = write
	return nil
}

// initialize makes the template. Copying it takes a tenth of the time that initdb takes.
func (s *Site) initialize() error {
	if err := s.own(s.dir); err != nil {
		return err
	}
	s.template = filepath.Join(s.dir, "template")
	err := s.run(filepath.Join(s.bin, "initdb"), "--pgdata", s.template, "--username", superuser,
		"--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(s.template, "PG_VERSION"))
	if err != nil {
		return fmt.Errorf("read PostgreSQL's version: %w", err)
	}
	if s.version, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil || s.version < oldest {
		return fmt.Errorf("PostgreSQL in %s has version %q; this wants %d or newer", s.bin, text, oldest)
	}
	config, err := os.OpenFile(filepath.Join(s.template, "postgresql.conf"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("open the template's configuration: %w", err)
	}
	_, err = fmt.Fprintf(config, "include '%s'\n", settingsFile)
	return errors.Join(err, config.Close())
}

// Close removes the directory. Every cluster in it has stopped, and none may be started any more.
func (s *Site) Close() {
	_ = s.alive.Close()
	_ = s.watcher.Wait() // there is nobody to tell, and nothing left to do about it
}

// own gives a file to who runs PostgreSQL.
func (s *Site) own(path string) error {
	if s.owner == nil {
		return nil
	}
	return os.Chown(path, int(s.owner.Uid), int(s.owner.Gid))
}

// write writes a file that PostgreSQL may read and replace.
func (s *Site) write(path, content string) error {
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return err
	}
	return s.own(path)
}

// run runs a program to its end, as who runs PostgreSQL.
func (s *Site) run(path string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), programTimeout)
	defer cancel()
	cmd := s.command(ctx, path, args...)
	// Linux ends the program when this thread ends, so nothing else may end it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run %s: %w\n%s", filepath.Base(path), err, output)
	}
	return nil
}

// command is a program that is run by who runs PostgreSQL, with none of the settings that
// libpq takes from the environment, such as PGHOST.
func (s *Site) command(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = s.dir
	cmd.Env = slices.DeleteFunc(cmd.Environ(), func(v string) bool { return strings.HasPrefix(v, "PG") })
	cmd.Env = append(cmd.Env, "LC_ALL=C")
	cmd.SysProcAttr = attributes(s.owner)
	return cmd
}
