package client

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
)

// TokenStore keeps the tokens of a worker's live leases, so that the worker, when it is
// started again after a crash, can go on with the jobs it had. Its methods are called by
// several goroutines at once. A token is a secret: whoever has it can end the job.
type TokenStore interface {
	// Keep remembers a token, until Forget. Keeping one again changes nothing.
	Keep(token Token) error
	// Forget removes a token. It is no error if the token is not there.
	Forget(token Token) error
	// Tokens returns what is kept, in any order. It is called once, before any Keep.
	Tokens() ([]Token, error)
}

// noTokens is the TokenStore of a worker without one.
type noTokens struct{}

func (noTokens) Keep(Token) error         { return nil }
func (noTokens) Forget(Token) error       { return nil }
func (noTokens) Tokens() ([]Token, error) { return nil, nil }

const (
	tokenSuffix = ".token"
	newPrefix   = "new-"
	lockName    = "lock"
)

// TokenDir is a TokenStore in a directory: a file for each token, which only its owner can
// read, with a name that does not show the token.
//
// Files are not synced to disk: they are to survive the process, not the machine, whose loss
// the server notices by itself.
type TokenDir struct {
	path string
	lock *os.File
}

// OpenTokenDir opens the directory at path, and creates it with mode 0700 if there is none.
// It holds a lock on it until Close, and fails if another process does: two workers must not
// adopt the same leases. Systems that are not Unix have no such lock: errors.ErrUnsupported.
func OpenTokenDir(path string) (*TokenDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("open token directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open token directory: %w", err)
	}
	if err := lockFile(lock); err != nil {
		return nil, errors.Join(fmt.Errorf("lock token directory %s, which another worker may be using: %w", path, err), lock.Close())
	}
	return &TokenDir{path: path, lock: lock}, nil
}

// Close lets go of the directory. What is kept in it stays.
func (d *TokenDir) Close() error {
	if err := d.lock.Close(); err != nil {
		return fmt.Errorf("close token directory: %w", err)
	}
	return nil
}

// Keep writes the token's file. A crash leaves either all of it or nothing.
func (d *TokenDir) Keep(token Token) error {
	file, err := os.CreateTemp(d.path, newPrefix+"*") // mode 0600
	if err != nil {
		return fmt.Errorf("keep a token: %w", err)
	}
	_, err = file.WriteString(token.String())
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(file.Name(), d.file(token))
	}
	if err != nil {
		return fmt.Errorf("keep a token: %w", errors.Join(err, os.Remove(file.Name())))
	}
	return nil
}

// Forget removes the token's file.
func (d *TokenDir) Forget(token Token) error {
	if err := os.Remove(d.file(token)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget a token: %w", err)
	}
	return nil
}

// Tokens reads every token, and removes what a crash left damaged or half done.
func (d *TokenDir) Tokens() ([]Token, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	var tokens []Token
	for _, entry := range entries {
		name := filepath.Join(d.path, entry.Name())
		switch {
		case strings.HasSuffix(entry.Name(), tokenSuffix):
			text, err := os.ReadFile(name)
			if err != nil {
				return nil, fmt.Errorf("list tokens: %w", err)
			}
			if token, err := uuid.ParseBytes(text); err == nil && d.file(token) == name {
				tokens = append(tokens, token)
				continue
			}
		case !strings.HasPrefix(entry.Name(), newPrefix):
			continue
		}
		// A token that cannot be read is of no use to anybody, and its lease ends by itself.
		if err := os.Remove(name); err != nil {
			return nil, fmt.Errorf("list tokens: remove a damaged one: %w", err)
		}
	}
	return tokens, nil
}

// file names the token's file by its hash: names of files end up in logs and backups.
func (d *TokenDir) file(token Token) string {
	sum := sha256.Sum256(token[:])
	return filepath.Join(d.path, hex.EncodeToString(sum[:16])+tokenSuffix)
}
