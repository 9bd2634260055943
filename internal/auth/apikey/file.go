package apikey

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/queue"
)

// maxFile bounds a file of keys, in bytes, and maxLine a line of it.
const (
	maxFile = 16 << 20
	maxLine = 64 << 10
)

// line is a key as a line of a file has it.
type line struct {
	ID       string     `json:"id"`
	SHA256   string     `json:"sha256"` // of the secret, in hexadecimal digits
	Name     string     `json:"name"`
	Scopes   []string   `json:"scopes"`
	Channels channels   `json:"channels,omitempty"` // nil is all
	Expires  *time.Time `json:"expires_at,omitempty"`
	Rate     float64    `json:"rate_limit,omitempty"`  // calls a second
	Waiting  int        `json:"max_waiting,omitempty"` // calls that wait at the same time
}

// channels tell those that are not there from an empty list or null, which is more likely a slip of whatever has
// written the file than the wish for a key for every channel.
type channels []string

// UnmarshalJSON implements json.Unmarshaler. Only for what is not there the channels stay nil.
func (c *channels) UnmarshalJSON(text []byte) error {
	names := []string{}
	if err := json.Unmarshal(text, &names); err != nil {
		return err
	}
	*c = append(channels{}, names...)
	return nil
}

// Line is a key as a line of a file.
func Line(k *queue.APIKey) (string, error) {
	l := line{ID: k.ID, SHA256: hex.EncodeToString(k.Hash[:]), Name: k.Name, Scopes: k.Scopes, Channels: k.Channels, Rate: k.Limits.Rate, Waiting: k.Limits.Waiting}
	if !k.Expires.IsZero() {
		l.Expires = &k.Expires
	}
	text, err := json.Marshal(l)
	return string(text), err
}

// ParseFile reads a file of keys: a line of JSON for each, as Line makes it; lines that are empty or
// begin with # mean nothing. It is all good, or an error that names the line.
func ParseFile(from io.Reader) ([]queue.APIKey, error) {
	var keys []queue.APIKey
	ids := make(map[string]int)
	lines := bufio.NewScanner(io.LimitReader(from, maxFile+1))
	lines.Buffer(nil, maxLine)
	read := 0
	for n := 1; lines.Scan(); n++ {
		text := bytes.TrimSpace(lines.Bytes())
		if read += len(lines.Bytes()) + 1; read > maxFile {
			return nil, fmt.Errorf("it is longer than %d bytes", maxFile)
		}
		if len(text) == 0 || text[0] == '#' {
			continue
		}
		k, err := parseLine(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if other := ids[k.ID]; other != 0 {
			return nil, fmt.Errorf("line %d: it has the id of line %d", n, other)
		}
		ids[k.ID] = n
		keys = append(keys, k)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(keys) > queue.MaxAPIKeys {
		return nil, fmt.Errorf("it has %d keys; at most %d are allowed", len(keys), queue.MaxAPIKeys)
	}
	if wrong := queue.CheckAPIKeys(keys); len(wrong) > 0 {
		return nil, errors.New(wrong[0])
	}
	return keys, nil
}

// parseLine's errors tell nothing of a secret that somebody has written there.
func parseLine(text []byte) (k queue.APIKey, err error) {
	if bytes.Contains(text, []byte(Prefix)) {
		return k, errors.New("it has an API key in it; it must have the hash of its secret only")
	}
	var l line
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&l); err != nil {
		return k, errors.New("it is not a JSON object with id, sha256, name, scopes, channels, expires_at, rate_limit and max_waiting")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return k, errors.New("there is something after the JSON object")
	}
	if !isID(l.ID) {
		return k, fmt.Errorf("id: must be %d digits or letters from a to v", idLength)
	}
	if n, err := hex.Decode(k.Hash[:], []byte(l.SHA256[:min(len(l.SHA256), 2*len(k.Hash))])); err != nil || n != len(k.Hash) || len(l.SHA256) != 2*n {
		return k, fmt.Errorf("sha256: must be %d hexadecimal digits", 2*len(k.Hash))
	}
	if _, err := auth.ParseScopes(l.Scopes); err != nil {
		return k, fmt.Errorf("scopes: %w", err)
	}
	if l.Channels != nil && len(l.Channels) == 0 {
		return k, errors.New("channels: must name at least one, or be left out for a key for every channel")
	}
	add := queue.NewAPIKey{
		ID: l.ID, Name: l.Name, Hash: k.Hash, Scopes: l.Scopes, Channels: l.Channels,
		Limits: queue.APIKeyLimits{Rate: l.Rate, Waiting: l.Waiting},
	}
	if err := add.Validate(); err != nil {
		return k, err
	}
	if k, _, err = add.Admit(nil, 0, time.Time{}); err != nil {
		return k, err
	}
	if l.Expires != nil {
		k.Expires = l.Expires.UTC()
	}
	return k, nil
}

// ReloadFile reads the file of keys again. After an error the keys that it had stay good.
func (a *Authenticator) ReloadFile() error {
	if a.options.File == "" {
		return nil
	}
	f, err := os.Open(a.options.File)
	if err != nil {
		return fmt.Errorf("open the file of API keys: %w", err)
	}
	keys, err := ParseFile(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read the file of API keys %s: %w", a.options.File, err)
	}
	next, before := newTable(), a.filed.Load()
	for i := range keys {
		next.add(&keys[i], before)
	}
	a.filed.Store(next)
	a.options.Logger.Info("the file of API keys was read", "file", a.options.File, "keys", fmt.Sprint(len(keys)))
	a.tellNamesakes()
	return nil
}

// tellNamesakes logs keys of the store that have a name which one of the file has for other channels. Both stay good:
// which of them is the wrong one only an operator knows.
func (a *Authenticator) tellNamesakes() {
	filed := make(map[string]*auth.Principal)
	for _, k := range a.filed.Load().keys {
		filed[k.principal.Name] = k.principal
	}
	for id, k := range a.stored.Load().keys {
		if other := filed[k.principal.Name]; other != nil && !other.Channels.Equal(k.principal.Channels) {
			a.options.Logger.Error(nil, fmt.Sprintf(
				"API key %s of the store and one of the file are both called %s and are for different channels, so that their rates and idempotency keys are shared; rename one",
				id, strings.TrimPrefix(k.principal.Name, principalPrefix)))
		}
	}
}

// Prepare makes a key of what it is to be for, which has no id and hash yet. It is an error if there is
// no such scope.
func Prepare(secret Secret, add queue.NewAPIKey) (queue.NewAPIKey, error) {
	if _, err := auth.ParseScopes(add.Scopes); err != nil {
		return queue.NewAPIKey{}, &queue.InvalidError{Field: "scopes", Reason: strings.TrimSpace(err.Error())}
	}
	add.ID, add.Hash = secret.ID, secret.Hash
	if err := add.Validate(); err != nil {
		return queue.NewAPIKey{}, err
	}
	return add, nil
}
