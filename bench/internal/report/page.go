package report

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Shown is a figure as tables show it.
type Shown struct{ Median, Least, Most float64 }

// Row is a line of a table that compares systems: what is in it by the head of its column. Cells without a figure are
// left out.
type Row struct {
	System  string
	Figures map[string]Shown
}

// Restate says again what the figures of a page come to, which WriteDocs has written, by those that it shows: say is
// asked for a sentence with each title and the table below it, and may have none. It returns how many sentences there are.
func Restate(page string, say func(title string, rows []Row) (string, bool)) (said int, err error) {
	content, err := os.ReadFile(page)
	if err != nil {
		return 0, err
	}
	sections := strings.Split(string(content), "\n## ")
	for i, section := range sections[1:] {
		title, rest, _ := strings.Cut(section, "\n\n")
		rows, err := rowsOf(rest)
		if err != nil {
			return 0, fmt.Errorf("%s: %s: %w", page, title, err)
		}
		text, has := say(title, rows)
		if !has {
			continue
		}
		said++
		// What there is between the title and its picture or table is what was said before.
		for !strings.HasPrefix(rest, "![") && !strings.HasPrefix(rest, "|") {
			if _, after, found := strings.Cut(rest, "\n\n"); found {
				rest = after
				continue
			}
			return 0, fmt.Errorf("%s: %s: there is neither a picture nor a table", page, title)
		}
		sections[i+1] = title + "\n\n" + text + "\n\n" + rest
	}
	return said, os.WriteFile(page, []byte(strings.Join(sections, "\n## ")), 0o644)
}

// rowsOf reads a table of Markdown.
func rowsOf(text string) (rows []Row, err error) {
	var head []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		cells := strings.Split(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(line), "| "), " |"), " | ")
		if head == nil {
			head = cells
			continue
		}
		if len(cells) != len(head) {
			return nil, fmt.Errorf("%q has not as many cells as there are columns", line)
		}
		row := Row{System: cells[0], Figures: make(map[string]Shown)}
		for i, cell := range cells[1:] {
			if figure, err := parseCell(cell); err == nil {
				row.Figures[head[i+1]] = figure
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// parseCell reads what Figure.cell writes.
func parseCell(text string) (Shown, error) {
	median, rest, several := strings.Cut(text, " (")
	if !several {
		// What became of a goal may come after it.
		median, _, _ = strings.Cut(median, " ")
		v, err := parseNumber(median)
		return Shown{v, v, v}, err
	}
	between, _, _ := strings.Cut(rest, ")")
	least, most, _ := strings.Cut(between, "-")
	var (
		s    Shown
		errs [3]error
	)
	s.Median, errs[0] = parseNumber(median)
	s.Least, errs[1] = parseNumber(least)
	s.Most, errs[2] = parseNumber(most)
	return s, errors.Join(errs[:]...)
}

func parseNumber(text string) (float64, error) {
	return strconv.ParseFloat(strings.ReplaceAll(text, ",", ""), 64)
}

// shown is a number as Number writes it.
func shown(v float64) float64 {
	if rounded, err := parseNumber(Number(v)); err == nil {
		return rounded
	}
	return v
}
