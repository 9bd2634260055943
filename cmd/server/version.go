package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/sirupsen/logrus"
)

// Set by the linker: -ldflags "-X main.version=... -X main.commit=...".
var (
	version string
	commit  string //nolint:gochecknoglobals // the linker can set nothing else
)

// build returns the version and the commit that the binary was made of: those that the
// linker was told, else what the Go toolchain knows.
func build() (ofVersion, ofCommit string) {
	ofVersion, ofCommit = version, commit
	info, ok := debug.ReadBuildInfo()
	if ok && ofVersion == "" {
		ofVersion = info.Main.Version
	}
	if ok && ofCommit == "" {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				ofCommit = setting.Value
			}
		}
	}
	return orUnknown(ofVersion), orUnknown(ofCommit)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// versionLine is what --version prints.
func versionLine() string {
	v, c := build()
	return fmt.Sprintf("longshore-server %s (commit %s, %s %s/%s)", v, c, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func versionFields() logrus.Fields {
	v, c := build()
	return logrus.Fields{"version": v, "commit": c, "go": runtime.Version()}
}
