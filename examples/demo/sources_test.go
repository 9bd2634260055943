package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSourcesAreTheTextFilesThatSomebodyWrote(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"b.go":             "package b\n",
		"a/empty":          "",
		"a/deep/er.txt":    "text",
		"picture.png":      "\x89PNG\x00\x00",
		".hidden":          "text",
		".git/config":      "text",
		"bin/program":      "text",
		"vendor/foreign.c": "text",
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	require.NoError(t, os.Symlink("b.go", filepath.Join(dir, "link.go")))

	sources, beyond, err := findSources(dir)
	require.NoError(t, err)
	require.Zero(t, beyond)
	require.Equal(t, []source{
		{path: "a/deep/er.txt", name: "a/deep/er.txt"},
		{path: "a/empty", name: "a/empty"},
		{path: "b.go", name: "b.go"},
	}, sources)
}

func TestEscapeLeavesNothingThatJSONOrAShellWouldRead(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"internal/queue/job_1.go": "internal/queue/job_1.go",
		"a b":                     `a\0040b`,
		"\"\\":                    `\0042\0134`,
		"ü":                       `\0303\0274`,
		"$`\n":                    `\0044\0140\0012`,
	} {
		require.Equalf(t, want, escape(path), "escape(%q)", path)
	}
}

func TestSourcesFitIntoOneResult(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	deep := filepath.Join(dir, strings.Repeat("d", 200), strings.Repeat("e", 200), strings.Repeat("\n", 200))
	require.NoError(t, os.MkdirAll(deep, 0o700))
	for i := range 1000 {
		require.NoError(t, os.WriteFile(filepath.Join(deep, fmt.Sprintf("%04d.txt", i)), nil, 0o600))
	}
	sources, beyond, err := findSources(dir)
	require.NoError(t, err)
	require.NotZero(t, beyond)
	require.Equal(t, 1000, len(sources)+beyond)
	var rows strings.Builder
	for _, s := range sources {
		fmt.Fprintf(&rows, "1234567890123\t1234567890123\t%s\n", s.name)
	}
	table, err := json.Marshal(rows.String())
	require.NoError(t, err)
	require.Less(t, len(table), 1<<20-4<<10)
	require.Greater(t, len(table), 800<<10, "more would have fitted")
}
