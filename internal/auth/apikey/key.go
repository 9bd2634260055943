package apikey

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"strings"
)

const (
	// Prefix is what every key begins with, so that people and scanners for secrets know it.
	Prefix = "lsk_"

	idBytes     = 10
	secretBytes = 32

	idLength     = 16 // idBytes, in letters and digits
	secretLength = 43 // secretBytes, in letters, digits, - and _
	keyLength    = len(Prefix) + idLength + 1 + secretLength
)

// idEncoding writes ids in digits and small letters.
var idEncoding = base32.HexEncoding.WithPadding(base32.NoPadding) //nolint:gochecknoglobals // a constant that Go has no word for

// Hash is what is kept of a secret: SHA-256 of it as it is written.
type Hash = [sha256.Size]byte

// hashOf returns the hash of a secret, which is secretLength long. It copies it to where no memory
// has to be found for it.
func hashOf(secret string) Hash {
	var text [secretLength]byte
	return sha256.Sum256(text[:copy(text[:], secret)])
}

// Secret is a new key. Whoever makes it has to hand it over, because it is kept nowhere.
type Secret struct {
	ID   string
	Hash Hash
	text string
}

// Generate makes a key.
func Generate() Secret {
	var random [idBytes]byte
	_, _ = rand.Read(random[:]) // it never fails
	return withID(writeID(random[:]))
}

// GenerateOnce makes a key whose id is that of every key which is made of the same seed, so that a second
// one can be told from the first. Its secret is its own.
func GenerateOnce(seed string) Secret {
	sum := sha256.Sum256([]byte(seed))
	return withID(writeID(sum[:idBytes]))
}

func writeID(id []byte) string { return strings.ToLower(idEncoding.EncodeToString(id)) }

func withID(id string) Secret {
	var random [secretBytes]byte
	_, _ = rand.Read(random[:]) // it never fails
	secret := base64.RawURLEncoding.EncodeToString(random[:])
	return Secret{ID: id, Hash: hashOf(secret), text: Prefix + id + "." + secret}
}

// Text is the key as it is sent. It must be shown to nobody but who is to have it.
func (s Secret) Text() string { return s.text }

// String does not tell the secret, so that none is logged by accident.
func (s Secret) String() string { return Prefix + s.ID }

// split takes a key apart. It looks at no more of a text than a key is long.
func split(text string) (id, secret string, ok bool) {
	if len(text) != keyLength || !strings.HasPrefix(text, Prefix) {
		return "", "", false
	}
	rest := text[len(Prefix):]
	id, secret = rest[:idLength], rest[idLength+1:]
	return id, secret, rest[idLength] == '.' && isID(id) && isSecret(secret)
}

// isID reports whether a text is written as ids are, which makes it fit to be logged.
func isID(text string) bool {
	for _, c := range []byte(text) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'v') {
			return false
		}
	}
	return len(text) == idLength
}

func isSecret(text string) bool {
	for _, c := range []byte(text) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return len(text) == secretLength
}
