package where

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"
)

func TestASampleBelongsToTheInnermostPartOfItsStack(t *testing.T) {
	t.Parallel()
	for want, stack := range map[string][]string{
		"the disk: writing and syncing":           {"internal/runtime/syscall/linux.Syscall6", "golang.org/x/sys/unix.Fdatasync", module + "queue/embedded.(*logFile).SyncData"},
		"the connections of clients":              {"internal/runtime/syscall/linux.Syscall6", "syscall.write", "net.(*conn).Write", "net/http.(*conn).serve"},
		"the connections to PostgreSQL":           {"internal/runtime/syscall/linux.Syscall6", "net.(*conn).Read", "github.com/jackc/pgx/v5/pgconn.(*PgConn).peekMessage"},
		"memory: allocating it":                   {"runtime.memclrNoHeapPointers", "runtime.mallocgc", "runtime.growslice", module + "queue/embedded.(*change).setRecord"},
		"Pebble":                                  {"runtime.memmove", "github.com/cockroachdb/pebble/v2.(*Batch).Set", module + "queue/embedded.(*change).set"},
		"the engine":                              {"runtime.memmove", module + "queue/embedded.(*change).set", module + "api.(*API).enqueue"},
		"JSON":                                    {"encoding/json.(*decodeState).object", module + "api.decode"},
		"the edge: routes, checks, answers, logs": {"runtime.mapaccess1", "github.com/labstack/echo/v4.(*Router).Find", "net/http.(*conn).serve"},
		"HTTP": {"runtime.memmove", "bufio.(*Reader).Read", "net/http.(*conn).serve"},
		others: {"time.Now", "main.main"},
	} {
		require.Equal(t, want, partOf(stack, parts()))
	}
}

// write writes profiles of one workload, in which a function, "called < by another one", has counted so much.
func write(t *testing.T, directory, workload string, counted map[string]int64) {
	t.Helper()
	for suffix, kind := range map[string]string{"cpu": "cpu", "allocs": "alloc_space", "mutex": "delay", "block": "delay"} {
		p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: kind, Unit: "count"}}}
		for stack, n := range counted {
			sample := &profile.Sample{Value: []int64{1, n}}
			for name := range strings.SplitSeq(stack, " < ") {
				id := uint64(len(p.Function) + 1)
				f := &profile.Function{ID: id, Name: name}
				l := &profile.Location{ID: id, Line: []profile.Line{{Function: f}}}
				p.Function, p.Location, sample.Location = append(p.Function, f), append(p.Location, l), append(sample.Location, l)
			}
			p.Sample = append(p.Sample, sample)
		}
		var encoded bytes.Buffer
		require.NoError(t, p.Write(&encoded))
		require.NoError(t, os.WriteFile(filepath.Join(directory, workload+"."+suffix+".pprof"), encoded.Bytes(), 0o600))
	}
}

func TestAPageSaysHowMuchIsWhose(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	write(t, directory, "cycle", map[string]int64{module + "queue/embedded.(*Store).commit": 75, "net/http.(*conn).serve": 25})
	var page bytes.Buffer
	require.NoError(t, Write(&page, "Store", directory))
	require.Contains(t, page.String(), "| HTTP | 25 |\n")
	require.Contains(t, page.String(), "| the engine | 75 |\n")
	require.Contains(t, page.String(), "- cycle: `queue/embedded.(*Store).commit` 75 %;")
	require.NotContains(t, page.String(), "Pebble")
}

func TestAPageSaysWhatRequestsWaitForAndNotWhatIsIdle(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	write(t, directory, "wake", map[string]int64{
		"runtime.selectgo < " + module + "queue/embedded.(*syncer).wait < " + answering:         30,
		"sync.(*Mutex).Lock < " + module + "queue/embedded.(*Store).commitAlone < " + answering: 10,
		"runtime.selectgo < " + module + "queue/embedded.(*syncer).run":                         60,
	})
	var page bytes.Buffer
	require.NoError(t, Write(&page, "Store", directory))
	_, waits, _ := strings.Cut(page.String(), "What requests wait for")
	require.Contains(t, waits, "- wake: `queue/embedded.(*syncer).wait` 75 %; `queue/embedded.(*Store).commitAlone` 25 %;\n")
}

func TestAGenericFunctionIsNamedWithoutItsTypes(t *testing.T) {
	t.Parallel()
	require.Equal(t, "queue/postgres.(*batcher[...]).add",
		waiting([]string{"sync.(*Mutex).Unlock", module + "queue/postgres.(*batcher[go.shape.struct { a []int; b [2]string },go.shape.int]).add"}))
}

func TestADirectoryWithoutProfilesIsRefused(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	require.ErrorContains(t, Write(&bytes.Buffer{}, "Store", directory), "there are no profiles in "+directory)
}
