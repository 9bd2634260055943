package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	// maxSources is how many files are counted at most, so that two busy cores need less than
	// a minute. One job may have twice as many dependencies.
	maxSources = 5_000
	// maxTable is how many bytes their rows may have together in the merged table, which has
	// to fit into one result. A server accepts 1 MiB unless it is told otherwise.
	maxTable = 960 << 10
	// rowBytes is what a row has at most beside the name: two numbers, tabs, a line's end.
	rowBytes = 32
)

// sniffed is how many bytes of a file tell whether it is text. One with a NUL among them is not.
const sniffed = 8 << 10

// source is one file to count.
type source struct {
	path string // relative to the directory, as the system has it
	name string // the same, as it travels: see escape
}

// findSources returns the text files under dir, in the order of their names, and how many there
// are beyond the limits. Hidden files and folders, folders of built or foreign things, symbolic
// links and whatever else is not a regular file are left out. A file that cannot be opened is
// kept: that counting it fails is part of the story.
func findSources(dir string) (sources []source, beyond int, err error) {
	room := maxTable
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil && path == dir:
			return err
		case err != nil:
			return nil // a folder that cannot be read has no files to show
		case path == dir:
			return nil
		case entry.IsDir() && skipped(entry.Name()):
			return fs.SkipDir
		case !entry.Type().IsRegular() || strings.HasPrefix(entry.Name(), ".") || !isText(path):
			return nil
		}
		relative, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name := escape(relative)
		// Each backslash is written twice in JSON.
		room -= rowBytes + len(name) + strings.Count(name, `\`)
		if room < 0 || len(sources) == maxSources {
			room = -1 // a shorter name may fit, but what is left out should be the end
			beyond++
			return nil
		}
		sources = append(sources, source{path: relative, name: name})
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list the files of %s: %w", dir, err)
	}
	return sources, beyond, nil
}

// skipped reports whether a folder holds nothing that somebody wrote.
func skipped(folder string) bool {
	switch folder {
	case "bin", "node_modules", "vendor", "longshore-data":
		return true
	default:
		return strings.HasPrefix(folder, ".")
	}
}

func isText(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return true // not known; see findSources
	}
	defer func() { _ = file.Close() }()
	head := make([]byte, sniffed)
	n, err := io.ReadFull(file, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return true
	}
	return bytes.IndexByte(head[:n], 0) < 0
}

// escape writes a path so that a shell can take it out of JSON without parsing JSON: every byte
// that means something to either, and every one that is not ASCII, becomes the \0ooo that
// printf %b understands.
func escape(path string) string {
	var b strings.Builder
	for i := range len(path) {
		if c := path[i]; plain(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\0%03o`, c)
		}
	}
	return b.String()
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		strings.IndexByte("._/+-@=,", c) >= 0
}
