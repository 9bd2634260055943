package oidc

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/longshore-queue/longshore/internal/auth"
)

func TestRememberedTokensAreBoundedAndTheNewestIsAmongThem(t *testing.T) {
	t.Parallel()
	var v verified
	p := &auth.Principal{Name: "oidc:alice"}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for n := range uint64(mostVerified + 1000) {
		var token digest
		binary.BigEndian.PutUint64(token[:], n)
		for range 2 { // those that ask at once all remember it
			v.add(token, p, now, now.Add(time.Hour))
			require.Same(t, p, v.find(token, now))
		}
		require.Len(t, v.tokens, min(int(n)+1, mostVerified))
	}
}

func TestTokenThatHasExpiredIsNotRemembered(t *testing.T) {
	t.Parallel()
	var v verified
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	v.add(digest{}, new(auth.Principal), now, now)
	require.Empty(t, v.tokens)
}
