// Package jobs makes the jobs that loads are made of: of one type, in the default channel,
// with 200 bytes of args, unless another size is asked for, that do not compress much.
package jobs

import (
	"encoding/json"
	"hash/fnv"
	"math/rand/v2"
)

// Type is the type of all of them.
const Type = "bench"

// argsSize is how long the args are, as JSON, in bytes.
const argsSize = 200

// letters are what args are made of; none needs an escape.
const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// Source makes jobs, the same ones whenever it has the same name. It is not safe for
// concurrent use.
type Source struct {
	random *rand.Rand
	size   int // of args, in bytes
}

// New returns the source of a name.
func New(name string) *Source { return Sized(name, argsSize) }

// Sized returns the source of a name, with args of another size: 2 bytes at least.
func Sized(name string, size int) *Source {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // which never fails
	return &Source{random: rand.New(rand.NewPCG(h.Sum64(), 1)), size: size}
}

// Args makes the args of one more job: one string.
func (s *Source) Args() json.RawMessage {
	args := make(json.RawMessage, s.size)
	args[0], args[s.size-1] = '"', '"'
	for i := 1; i < s.size-1; i++ {
		args[i] = letters[s.random.IntN(len(letters))]
	}
	return args
}

// Body makes the body of a request that adds one more job.
func (s *Source) Body() string { return s.BodyWith("") }

// BodyWith makes a body with more members, each of which ends with a comma.
func (s *Source) BodyWith(members string) string {
	return `{"type":"` + Type + `",` + members + `"args":` + string(s.Args()) + `}`
}
