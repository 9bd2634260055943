package api

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// cursor is where the next page of a list begins. Clients see it as text that says nothing: it
// may come to mean something else.
type cursor struct {
	of    listDigest // the list that it belongs to
	after uuid.UUID  // the last job of the page before
}

// listDigest tells lists apart. It need not withstand anybody: who forges one gets a page of
// another list, as if he had asked for it.
type listDigest [8]byte

// digestOf returns the digest of what a list is of, in whatever order that was written.
func digestOf(l *queue.Listing) (digest listDigest) {
	f := l.Filter
	f.Types, f.Channels = slices.Sorted(slices.Values(f.Types)), slices.Sorted(slices.Values(f.Channels))
	f.Labels = slices.SortedFunc(slices.Values(f.Labels), func(a, b queue.LabelFilter) int { return strings.Compare(a.Name, b.Name) })
	f.QueuedFrom, f.QueuedBefore = f.QueuedFrom.UTC(), f.QueuedBefore.UTC()
	text, err := json.Marshal(struct {
		Filter      queue.Filter
		OldestFirst bool
	}{f, l.OldestFirst})
	if err != nil {
		panic(err) // it is made of text, numbers and times that were checked
	}
	sum := sha256.Sum256(text)
	copy(digest[:], sum[:])
	return digest
}

// cursorVersion is the first byte of a cursor, to tell what it is.
const cursorVersion = 2

// String is the cursor as clients see it.
func (c cursor) String() string {
	b := append([]byte{cursorVersion}, c.of[:]...)
	return base64.RawURLEncoding.EncodeToString(append(b, c.after[:]...))
}

// cursorOf is the inverse of String.
func cursorOf(name, text string) (c cursor, err error) {
	const length = 1 + len(c.of) + len(c.after)
	if len(text) == base64.RawURLEncoding.EncodedLen(length) {
		b, err := base64.RawURLEncoding.Strict().DecodeString(text)
		if err == nil && len(b) == length && b[0] == cursorVersion {
			copy(c.after[:], b[1+copy(c.of[:], b[1:]):])
			if c.after != uuid.Nil {
				return c, nil
			}
		}
	}
	return cursor{}, invalid(name, "is no next_cursor of this server")
}
