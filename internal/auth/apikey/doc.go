// Package apikey is API keys: how one is made, what it looks like, and who stands behind it.
//
// A key is lsk_<id>.<secret>, and is sent as a bearer token. The id is not secret; the secret is 256
// bits from crypto/rand, and nothing but its SHA-256 is kept, by a store or in a file. A hash that
// is fast to compute does, because nobody can guess such a secret; a slow one would cost every
// request what it costs an attacker.
//
// The package keeps no keys (a store does), and does not decide who may make one (internal/api does).
package apikey
