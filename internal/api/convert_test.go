package api

import (
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// A number of seconds of whole microseconds comes out as it went in, to the last digit, as far
// as durations of the contract go.
func TestSecondsComeOutAsTheyWentIn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		micros := rapid.Int64Range(0, int64(queue.MaxDelay/time.Microsecond)).Draw(t, "micros")
		text := strconv.FormatInt(micros/1e6, 10) + "." + strconv.FormatInt(1e6+micros%1e6, 10)[1:]
		seconds, err := strconv.ParseFloat(text, 64)
		require.NoError(t, err)
		d := duration(seconds)
		require.Equal(t, time.Duration(micros)*time.Microsecond, d)
		require.Equal(t, seconds, secondsView(d))
	})
}

// What a Duration cannot hold stays on its side of every limit, and what is not 0 stays so.
func TestDurationsSaturate(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[float64]time.Duration{
		0: 0, 1: time.Second, -1: -time.Second, 0.0000015: 2 * time.Microsecond, 1e-9: time.Microsecond, -1e-9: -time.Microsecond,
		math.SmallestNonzeroFloat64: time.Microsecond, -math.SmallestNonzeroFloat64: -time.Microsecond,
		math.MaxFloat64: math.MaxInt64, -math.MaxFloat64: math.MinInt64, 9.3e9: math.MaxInt64, -9.3e9: math.MinInt64,
		9223372036: 9223372036 * time.Second, 9223372037: math.MaxInt64, 18446744074: math.MaxInt64,
	} {
		require.Equal(t, want, duration(seconds), seconds)
	}
	require.Zero(t, duration(math.Copysign(0, -1)))
	zero, second := 0.0, 1.0
	require.Zero(t, bound(nil))
	require.NotZero(t, bound(&zero), "it was given")
	require.Equal(t, time.Second, bound(&second))
}

// A time is stored as whole microseconds, never earlier than it was given.
func TestTimesAreNeverEarlier(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		given := time.Unix(rapid.Int64Range(-1e11, 3e11).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
		got := timeOf(&given)
		require.False(t, got.Before(given))
		require.Less(t, got.Sub(given), time.Microsecond)
		require.Zero(t, got.Nanosecond()%1000)
		require.Equal(t, time.UTC, got.Location())
	})
	require.True(t, timeOf(nil).IsZero())
	zero := time.Time{}
	require.Error(t, queue.ValidateTime("run_at", timeOf(&zero)), "it was given")
}

// deeper goes by leaps where there are none that it could miss.
func TestDepthIsThatOfEveryBracket(t *testing.T) {
	t.Parallel()
	plain := func(body []byte, most int) bool {
		depth, inside := 0, false
		for i := 0; i < len(body); i++ {
			switch c := body[i]; {
			case inside && c == '\\':
				i++
			case c == '"':
				inside = !inside
			case inside:
			case c == '{' || c == '[':
				depth++
				if depth > most {
					return true
				}
			case c == '}' || c == ']':
				depth--
			}
		}
		return false
	}
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SliceOf(rapid.SampledFrom([]byte(`[{]}"\\x`))).Draw(t, "body")
		most := rapid.IntRange(0, 4).Draw(t, "most")
		require.Equal(t, plain(body, most), deeper(body, most), "%s", body)
	})
}

// An entity tag is read as it is written.
func TestTagsAreReadAsWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		versions := rapid.SliceOfN(rapid.Uint64(), 1, 5).Draw(t, "versions")
		var lines []string
		for _, version := range versions {
			lines = append(lines, string(appendTag(nil, version)))
		}
		tags, err := parseTags(headerIfMatch, lines)
		require.NoError(t, err)
		require.Equal(t, versions, tags.versions)
		for _, version := range versions {
			require.True(t, tags.match(version))
		}
	})
	require.False(t, new(tags).match(1), "none of a list that no job can have")
}

// A cursor is read as it is written.
func TestCursorsAreReadAsWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var want cursor
		copy(want.of[:], rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "of"))
		copy(want.after[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "after"))
		want.after[0] |= 1
		got, err := cursorOf("cursor", want.String())
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

// Words are what they were made of, however many there are.
func TestWords(t *testing.T) {
	t.Parallel()
	w := newWords()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.SampledFrom([]byte("ab")), 0, 80).Draw(t, "text")
		require.Equal(t, string(text), w.of(text))
	})
}
