package queue

import "crypto/sha256"

// Once makes a call idempotent: a second one with the same Key is answered what the first one
// was, and changes nothing. The zero Once, without a Key, does not.
type Once struct {
	// Key is chosen by the caller, for one intended call. Keys of different operations, and of
	// different callers, must differ.
	Key string
	// Digest is of all that is asked for. The same Key with another one is refused with
	// ErrKeyReused.
	Digest [sha256.Size]byte
}

// Given reports whether the call is to be idempotent.
func (o Once) Given() bool { return o.Key != "" }
