package api

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/longshore-queue/longshore/internal/queue"
)

// positions writes the ids of events, and reads them again. An id is the position of its event among
// all, which says how many events there were of jobs that somebody may not see; so to whoever may
// not see everything it is told encrypted, and only such an id is read from them. The key is this
// process's own: a position means nothing to another one anyway.
type positions struct{ block cipher.Block }

func newPositions() (positions, error) {
	var key [16]byte
	_, _ = rand.Read(key[:]) // never fails
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return positions{}, fmt.Errorf("encrypt the positions of events: %w", err)
	}
	return positions{block}, nil
}

// append appends the position as the caller may see it.
func (p positions) append(b []byte, at queue.EventPosition, sealed bool) []byte {
	if !sealed {
		b = strconv.AppendUint(b, at.Epoch, 16)
		return strconv.AppendUint(append(b, '-'), at.Number, 10)
	}
	var block [aes.BlockSize]byte
	binary.BigEndian.PutUint64(block[:8], at.Epoch)
	binary.BigEndian.PutUint64(block[8:], at.Number)
	p.block.Encrypt(block[:], block[:])
	return hex.AppendEncode(b, block[:])
}

// parse is the inverse of append.
func (p positions) parse(text string, sealed bool) (at queue.EventPosition, err error) {
	if sealed {
		var block [aes.BlockSize]byte
		if len(text) != hex.EncodedLen(len(block)) {
			return at, errNoEvent()
		}
		if _, err := hex.Decode(block[:], []byte(text)); err != nil {
			return at, errNoEvent()
		}
		p.block.Decrypt(block[:], block[:])
		return queue.EventPosition{Epoch: binary.BigEndian.Uint64(block[:8]), Number: binary.BigEndian.Uint64(block[8:])}, nil
	}
	epoch, number, ok := strings.Cut(text, "-")
	if ok {
		if at.Epoch, err = strconv.ParseUint(epoch, 16, 64); err == nil {
			at.Number, err = strconv.ParseUint(number, 10, 64)
		}
	}
	if !ok || err != nil {
		return queue.EventPosition{}, errNoEvent()
	}
	return at, nil
}

func errNoEvent() error { return invalid(headerLastEventID, "is no id of an event of this server") }
