package mtls

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/longshore-queue/longshore/internal/auth"
	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	// maxFile bounds a file of subjects, in bytes, and maxLine a line of it.
	maxFile = 16 << 20
	maxLine = 64 << 10
	// maxSubject is how long a subject may be, in bytes.
	maxSubject = 255
	// everyChannel alone is every channel.
	everyChannel = "*"
)

// line is a subject as a line of a file has it. One of URI, DNS and CommonName is set.
type line struct {
	URI        string   `json:"uri"`
	DNS        string   `json:"dns"`
	CommonName string   `json:"common_name"`
	Scopes     []string `json:"scopes"`
	Channels   []string `json:"channels"`
}

// subject is what a certificate may say of who it is for.
type subject struct {
	kind kind
	text string
}

type kind uint8

const (
	uri kind = iota
	dns
	commonName
)

// table has the principal of each subject.
type table map[subject]*auth.Principal

// parse reads a file of subjects: a line of JSON for each; lines that are empty or begin with # mean
// nothing. It is all good, or an error that names the line.
func parse(from io.Reader) (table, error) {
	found, names := make(table), make(map[string]int)
	lines := bufio.NewScanner(io.LimitReader(from, maxFile+1))
	lines.Buffer(nil, maxLine)
	read := 0
	for n := 1; lines.Scan(); n++ {
		if read += len(lines.Bytes()) + 1; read > maxFile {
			return nil, fmt.Errorf("it is longer than %d bytes", maxFile)
		}
		text := bytes.TrimSpace(lines.Bytes())
		if len(text) == 0 || text[0] == '#' {
			continue
		}
		s, p, err := parseLine(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		// Of any kind: two principals would have one name.
		if other := names[s.text]; other != 0 {
			return nil, fmt.Errorf("line %d: it has the subject of line %d", n, other)
		}
		names[s.text] = n
		found[s] = p
	}
	return found, lines.Err()
}

func parseLine(text []byte) (s subject, p *auth.Principal, err error) {
	var l line
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&l); err != nil {
		return s, nil, errors.New("it is not a JSON object with uri, dns or common_name, and scopes and channels")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return s, nil, errors.New("there is something after the JSON object")
	}
	if s, err = l.subject(); err != nil {
		return s, nil, err
	}
	scopes, err := auth.ParseScopes(l.Scopes)
	if err != nil {
		return s, nil, fmt.Errorf("scopes: %w", err)
	}
	channels, err := l.channels()
	if err != nil {
		return s, nil, fmt.Errorf("channels: %w", err)
	}
	return s, &auth.Principal{Name: "mtls:" + s.text, Scopes: scopes, Channels: channels}, nil
}

func (l *line) subject() (subject, error) {
	var those []subject
	for k, text := range [...]string{uri: l.URI, dns: l.DNS, commonName: l.CommonName} {
		if text != "" {
			those = append(those, subject{kind(k), text})
		}
	}
	switch {
	case len(those) != 1:
		return subject{}, errors.New("it must have one of uri, dns and common_name")
	case len(those[0].text) > maxSubject || strings.ContainsFunc(those[0].text, unprintable):
		return subject{}, fmt.Errorf("the subject must be at most %d printable ASCII characters", maxSubject)
	}
	return those[0], nil
}

func unprintable(r rune) bool { return r < ' ' || r > '~' }

func (l *line) channels() (auth.Channels, error) {
	if slices.Equal(l.Channels, []string{everyChannel}) {
		return auth.AllChannels(), nil
	}
	if len(l.Channels) == 0 || len(l.Channels) > queue.MaxChannels {
		return auth.Channels{}, fmt.Errorf("must be 1 to %d names, or %q alone for every channel", queue.MaxChannels, everyChannel)
	}
	for _, name := range l.Channels {
		if !queue.ValidName(name) {
			return auth.Channels{}, fmt.Errorf("%q is no name of a channel", name)
		}
	}
	return auth.SomeChannels(l.Channels...), nil
}
