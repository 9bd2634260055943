package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Key is the Credential of a key that does not change.
func Key(key string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return key, nil }
}

// KeyFile is the Credential of a key that a file has, alone but for white space around it. The file
// is read for each request: a key that is replaced there is used from then on.
func KeyFile(path string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		text, err := os.ReadFile(path) //nolint:gosec // the user's own choice
		if err != nil {
			return "", fmt.Errorf("read the key: %w", err)
		}
		key := strings.TrimSpace(string(text))
		if key == "" || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return "", errors.New("read the key: " + path + " must have one key, and nothing else") // the text may be a secret
		}
		return key, nil
	}
}
