package command

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"unicode/utf8"
)

// boundedBuffer keeps what a command writes, up to a bound. Past it, writes succeed and are
// dropped: the command must be able to go on until it is told to end.
type boundedBuffer struct {
	most int
	full chan struct{} // closed when more than most was written

	mu      sync.Mutex // guards content, dropped
	content []byte
	dropped bool
}

func newBoundedBuffer(most int) *boundedBuffer {
	return &boundedBuffer{most: most, full: make(chan struct{})}
}

// Write keeps p, or as much of it as there is room for. It never fails.
func (b *boundedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	room := min(len(p), b.most-len(b.content))
	b.content = append(b.content, p[:room]...)
	if room < len(p) && !b.dropped {
		b.dropped = true
		close(b.full)
	}
	return len(p), nil
}

func (b *boundedBuffer) overflowed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped
}

// result returns what was written as one JSON value: as it is if it is one, else as a string.
func (b *boundedBuffer) result() (json.RawMessage, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if json.Valid(b.content) && utf8.Valid(b.content) {
		return bytes.TrimSpace(b.content), nil
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false) // it would make six bytes of one
	if err := encoder.Encode(strings.ToValidUTF8(string(b.content), "\uFFFD")); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(out.Bytes()), nil
}

// tail keeps the end of what a command writes.
type tail struct {
	most int

	mu      sync.Mutex // guards content
	content []byte     // at most twice most, so that most writes move nothing
}

// Write keeps the end of p. It never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	written := len(p)
	p = p[max(0, len(p)-t.most):]
	if len(t.content)+len(p) > 2*t.most {
		keep := t.most - len(p)
		t.content = append(t.content[:0], t.content[len(t.content)-min(keep, len(t.content)):]...)
	}
	t.content = append(t.content, p...)
	return written, nil
}

// String returns the end as UTF-8 text, beginning with a whole character.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	end := t.content[max(0, len(t.content)-t.most):]
	if len(end) < len(t.content) || len(end) == t.most {
		for i := 0; i < utf8.UTFMax && len(end) > 0 && !utf8.RuneStart(end[0]); i++ {
			end = end[1:]
		}
	}
	return strings.ToValidUTF8(string(end), "\uFFFD")
}
