package buildinfo

import (
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheLinkerGoesBeforeTheToolchain(t *testing.T) {
	t.Parallel()
	built := &debug.BuildInfo{
		Main:     debug.Module{Version: "v1.2.3"},
		Settings: []debug.BuildSetting{{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "abc"}},
	}
	for name, test := range map[string]struct {
		version, commit string
		built           *debug.BuildInfo
		want            Info
	}{
		"linker":    {"v9", "def", built, Info{Version: "v9", Commit: "def"}},
		"toolchain": {"", "", built, Info{Version: "v1.2.3", Commit: "abc"}},
		"each":      {"v9", "", built, Info{Version: "v9", Commit: "abc"}},
		"nobody":    {"", "", &debug.BuildInfo{}, Info{Version: "unknown", Commit: "unknown"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.want.Go = runtime.Version()
			require.Equal(t, test.want, merge(test.version, test.commit, test.built))
		})
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	line := Info{Version: "v9", Commit: "def", Go: "go1.99"}.Line("program")
	require.Equal(t, "program v9 (commit def, go1.99 "+runtime.GOOS+"/"+runtime.GOARCH+")", line)
	require.Regexp(t, `^p \S+ \(commit \S+, go1\.\S+ \w+/\w+\)$`, Read().Line("p"))
}

// The linker does not mind a variable that is not there.
func TestTheMakefileNamesTheVariables(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("../../Makefile")
	require.NoError(t, err)
	path := reflect.TypeFor[Info]().PkgPath()
	require.Contains(t, string(makefile), "-X "+path+".version=")
	require.Contains(t, string(makefile), "-X "+path+".commit=")
}
