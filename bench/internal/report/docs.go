package report

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

// WriteDocs writes a page of Markdown with all tables, and the pictures as SVG beside it.
func (r *Run) WriteDocs(page string) (err error) {
	directory := filepath.Dir(page)
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return err
	}
	for _, p := range r.Plots {
		if err := os.WriteFile(filepath.Join(directory, p.File+".svg"), []byte(r.Draw(p)), 0o644); err != nil {
			return err
		}
	}
	file, err := os.Create(page)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	name := strings.TrimSuffix(filepath.Base(page), filepath.Ext(page))
	if _, err := fmt.Fprintf(file, "<!-- Written by bench/; a run with --docs replaces it. -->\n\n# Measured: %s\n\n%s\n\n", name, r.provenance()); err != nil {
		return err
	}
	for _, workload := range r.Workloads() {
		if err := r.writeSection(file, workload); err != nil {
			return err
		}
	}
	return nil
}

// provenance says when, on what and how was measured.
func (r *Run) provenance() string {
	return fmt.Sprintf("%s; %s rounds, %s each after %s; medians, and the least and the most of the rounds.\n\n```\n%s\n```",
		r.Began.UTC().Format("2 January 2006"), r.Settings["repeat"], r.Settings["duration"], r.Settings["warm_up"], r.Summary())
}

// writeSection writes a workload: what was found, its pictures and its table.
func (r *Run) writeSection(file *os.File, workload string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "## %s\n\n", sentence(workload))
	for _, f := range r.Findings {
		if f.Workload == workload {
			text.WriteString(f.Text + "\n\n")
		}
	}
	for _, p := range r.Plots {
		if p.Series[0].Points[0].Of.Workload == workload {
			fmt.Fprintf(&text, "![%s](%s.svg)\n\n", p.Title, p.File)
		}
	}
	if _, err := file.WriteString(text.String()); err != nil {
		return err
	}
	return r.WriteMarkdown(file, workload)
}

// sentence begins with a capital letter.
func sentence(text string) string {
	letters := []rune(text)
	letters[0] = unicode.ToUpper(letters[0])
	return string(letters)
}
