package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// counts are what is counted of one file, or of all.
type counts struct {
	lines int64
	words int64
}

func (c counts) plus(other counts) counts {
	return counts{lines: c.lines + other.lines, words: c.words + other.words}
}

// row is one line of the table.
type row struct {
	name string // escaped
	counts
}

// table is what the merging job made.
type table struct {
	rows  []row // the longest file first
	total counts
}

// parseTable reads the result of the merging job: a JSON string of rows of lines, words and
// name, separated by tabs, the last of which is the total.
func parseTable(result json.RawMessage) (table, error) {
	var text string
	if err := json.Unmarshal(result, &text); err != nil {
		return table{}, fmt.Errorf("the merged result is not a JSON string: %w", err)
	}
	var t table
	for line := range strings.Lines(text) {
		r, err := parseRow(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return table{}, err
		}
		t.rows = append(t.rows, r)
	}
	if len(t.rows) == 0 || t.rows[len(t.rows)-1].name != "total" {
		return table{}, fmt.Errorf("the merged table of %d rows has no total", len(t.rows))
	}
	last := len(t.rows) - 1
	t.total, t.rows = t.rows[last].counts, t.rows[:last]
	return t, nil
}

func parseRow(line string) (row, error) {
	fields := strings.Split(line, "\t")
	if len(fields) != 3 {
		return row{}, fmt.Errorf("a row of the merged table has %d fields, not 3: %q", len(fields), line)
	}
	lines, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return row{}, fmt.Errorf("the lines in row %q: %w", line, err)
	}
	words, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return row{}, fmt.Errorf("the words in row %q: %w", line, err)
	}
	return row{name: fields[2], counts: counts{lines: lines, words: words}}, nil
}

// shown is how many rows are printed.
const shown = 10

// print writes the longest files and the totals.
func (t table) print(write func(format string, args ...any), path func(name string) string) {
	write("%9s %9s  %s", "lines", "words", "file")
	for i, r := range t.rows {
		if i == shown {
			write("%9s %9s  and %d more", "...", "...", len(t.rows)-shown)
			break
		}
		write("%9d %9d  %s", r.lines, r.words, readable(path(r.name)))
	}
	write("%9d %9d  in %s", t.total.lines, t.total.words, plural(len(t.rows), "file"))
}

// readable returns the path as it is, or quoted when it would upset a terminal.
func readable(path string) string {
	if quoted := strconv.Quote(path); quoted != `"`+path+`"` {
		return quoted
	}
	return path
}

// plural returns a number and what it counts.
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
