// Package buildinfo knows what a program was built of: the version, the commit, and the Go.
//
// It does not know which program it is in, and it prints nothing.
package buildinfo

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Set by the linker, as the Makefile has it:
// -X github.com/longshore-queue/longshore/internal/buildinfo.version=... and .commit=...
var (
	version string
	commit  string //nolint:gochecknoglobals // the linker can set nothing else
)

// unknown is what nobody knows.
const unknown = "unknown"

// Info is what a program was built of. No field is empty.
type Info struct {
	Version string
	Commit  string
	Go      string // as in "go1.26.0"
}

// Read returns what the linker was told, else what the Go toolchain put into the program.
func Read() Info {
	built, ok := debug.ReadBuildInfo()
	if !ok {
		built = &debug.BuildInfo{}
	}
	return merge(version, commit, built)
}

// merge returns version and commit if they are known, else what the toolchain says.
func merge(version, commit string, built *debug.BuildInfo) Info {
	info := Info{Version: version, Commit: commit, Go: runtime.Version()}
	if info.Version == "" {
		info.Version = built.Main.Version
	}
	for _, setting := range built.Settings {
		if info.Commit == "" && setting.Key == "vcs.revision" {
			info.Commit = setting.Value
		}
	}
	if info.Version == "" {
		info.Version = unknown
	}
	if info.Commit == "" {
		info.Commit = unknown
	}
	return info
}

// Line is what the program prints when it is asked for its version.
func (i Info) Line(program string) string {
	return fmt.Sprintf("%s %s (commit %s, %s %s/%s)", program, i.Version, i.Commit, i.Go, runtime.GOOS, runtime.GOARCH)
}
