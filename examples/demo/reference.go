package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// batch is how many files one wc is given; their names stay far below any system's limit.
const batch = 200

// reference asks wc itself for the counts of the files, by the escaped name. A file that wc
// cannot read is missing.
func reference(ctx context.Context, dir string, sources []source) (map[string]counts, error) {
	said := make(map[string]counts, len(sources))
	var names []source // of the present batch
	for _, s := range sources {
		if strings.Contains(s.path, "\n") {
			// Its name would break wc's output into lines of its own.
			if err := alone(ctx, dir, s, said); err != nil {
				return nil, err
			}
			continue
		}
		if names = append(names, s); len(names) == batch {
			if err := together(ctx, dir, names, said); err != nil {
				return nil, err
			}
			names = names[:0]
		}
	}
	if len(names) > 0 {
		if err := together(ctx, dir, names, said); err != nil {
			return nil, err
		}
	}
	return said, nil
}

// together asks for many files at once. Names begin with ./ so that none is an option, nor is
// mistaken for the total.
func together(ctx context.Context, dir string, sources []source, said map[string]counts) error {
	args := []string{"-l", "-w"}
	names := make(map[string]string, len(sources))
	for _, s := range sources {
		args = append(args, "./"+s.path)
		names["./"+s.path] = s.name
	}
	cmd := exec.CommandContext(ctx, "wc", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err := refused(err); err != nil {
		return err
	}
	for line := range bytes.Lines(out) {
		c, path, err := parseCounts(strings.TrimSuffix(string(line), "\n"))
		if err != nil {
			return err
		}
		if name, ok := names[path]; ok {
			said[name] = c
		}
	}
	return nil
}

// alone asks for one file, on standard input.
func alone(ctx context.Context, dir string, s source, said map[string]counts) error {
	file, err := os.Open(dir + "/" + s.path)
	if err != nil {
		return nil // a file that cannot be read is missing
	}
	defer func() { _ = file.Close() }()
	cmd := exec.CommandContext(ctx, "wc", "-l", "-w")
	cmd.Stdin = file
	out, err := cmd.Output()
	if err := refused(err); err != nil {
		return err
	}
	c, _, err := parseCounts(strings.TrimSuffix(string(out), "\n"))
	if err != nil {
		return err
	}
	said[s.name] = c
	return nil
}

// refused lets pass that wc could not read some of the files: it says so by its exit code.
func refused(err error) error {
	var exit *exec.ExitError
	if err == nil || errors.As(err, &exit) && exit.Exited() {
		return nil
	}
	return fmt.Errorf("ask wc: %w", err)
}

// parseCounts reads a line of wc: two numbers, and a path unless it counted its input.
func parseCounts(line string) (counts, string, error) {
	lines, rest := cutNumber(line)
	words, rest := cutNumber(rest)
	if lines < 0 || words < 0 {
		return counts{}, "", fmt.Errorf("wc said %q", line)
	}
	return counts{lines: lines, words: words}, strings.TrimPrefix(rest, " "), nil
}

// cutNumber takes a number off the front of a line; -1 when there is none.
func cutNumber(line string) (number int64, rest string) {
	line = strings.TrimLeft(line, " ")
	end := 0
	for end < len(line) && line[end] >= '0' && line[end] <= '9' {
		end++
	}
	number, err := strconv.ParseInt(line[:end], 10, 64)
	if err != nil {
		return -1, line
	}
	return number, line[end:]
}
