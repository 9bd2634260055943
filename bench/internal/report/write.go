package report

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Run is one run of the benchmark.
type Run struct {
	Began      time.Time         `json:"began"`
	Took       float64           `json:"took_seconds"`
	Go         string            `json:"go"`
	System     string            `json:"system"`
	Processors int               `json:"processors"`
	LoadBefore *float64          `json:"load_average_before,omitempty"`
	LoadAfter  *float64          `json:"load_average_after,omitempty"`
	Settings   map[string]string `json:"settings"`
	// InMemory: the stores were on no disk, so that nothing that is said to be was.
	InMemory bool              `json:"stores_in_memory,omitempty"`
	Postgres map[string]string `json:"postgres,omitempty"`           // how PostgreSQL is set, if there is one
	Compared []string          `json:"compared,omitempty"`           // workloads
	Means    map[string]string `json:"acknowledged_means,omitempty"` // of systems
	LeftOut  map[string]string `json:"left_out,omitempty"`           // systems, and why
	Plots    []Plot            `json:"plots,omitempty"`
	Findings []Finding         `json:"findings,omitempty"`
	Figures  []*Figure         `json:"figures"`
}

// Take puts the figures into the run.
func (r *Run) Take(f *Figures) {
	r.Figures, r.Compared, r.Means, r.LeftOut, r.Plots = f.list, f.compared, f.means, f.leftOut, f.plots
	r.Findings = f.findings
}

// WriteJSON writes all there is.
func (r *Run) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// WriteTable writes a table for people.
func (r *Run) WriteTable(w io.Writer) error {
	for _, workload := range r.Workloads() {
		t := r.tableOf(workload)
		t[0][0] = strings.ToUpper(workload)
		if err := t.writeAligned(w); err != nil {
			return err
		}
	}
	return nil
}

// WriteMarkdown writes the table of a workload in Markdown.
func (r *Run) WriteMarkdown(w io.Writer, workload string) error {
	return r.tableOf(workload).writeMarkdown(w)
}

// Workloads lists them in the order in which each came first.
func (r *Run) Workloads() []string {
	var names []string
	for _, figure := range r.Figures {
		if !slices.Contains(names, figure.Workload) {
			names = append(names, figure.Workload)
		}
	}
	return names
}

// table is rows of cells, of which the first one is the head.
type table [][]string

// tableOf makes the table of a workload, with a line for each figure.
func (r *Run) tableOf(workload string) table {
	if slices.Contains(r.Compared, workload) {
		return r.compared(workload)
	}
	t := table{{"", "", "median", "least", "most", "goal"}}
	for _, f := range r.Figures {
		if f.Workload == workload {
			t = append(t, []string{f.System, f.measure(), Number(f.Median), Number(f.Least), Number(f.Most), f.goal()})
		}
	}
	return t
}

// writeAligned writes a table with its columns below each other, and an empty line.
func (t table) writeAligned(w io.Writer) error {
	aligned := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range t {
		if _, err := io.WriteString(aligned, strings.Join(row, "\t")+"\n"); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(aligned, "\n"); err != nil {
		return err
	}
	return aligned.Flush()
}

// writeMarkdown writes a table in Markdown.
func (t table) writeMarkdown(w io.Writer) error {
	var lines strings.Builder
	for i, row := range t {
		lines.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			lines.WriteString("|" + strings.Repeat("---|", len(row)) + "\n")
		}
	}
	_, err := io.WriteString(w, lines.String()+"\n")
	return err
}

// Summary says on what and under what load the figures were measured.
func (r *Run) Summary() string {
	s := fmt.Sprintf("%s, %s, %d processors; %.0f s", r.Go, r.System, r.Processors, r.Took)
	if r.LoadBefore != nil && r.LoadAfter != nil {
		s += fmt.Sprintf("; load average %.2f before, %.2f after", *r.LoadBefore, *r.LoadAfter)
	}
	if r.InMemory {
		s += "\nthe directory for temporary files is in memory: nothing was on disk, whatever is said of it; set TMPDIR to one that is"
	}
	for _, system := range slices.Sorted(maps.Keys(r.LeftOut)) {
		s += fmt.Sprintf("\nleft out: %s: %s", system, r.LeftOut[system])
	}
	if len(r.Postgres) > 0 {
		s += "\nPostgreSQL:"
		for _, name := range slices.Sorted(maps.Keys(r.Postgres)) {
			s += " " + name + "=" + r.Postgres[name]
		}
	}
	return s
}

func (f *Figure) measure() string {
	if f.Unit == "" {
		return f.Measure
	}
	return f.Measure + ", " + f.Unit
}

func (f *Figure) goal() string {
	if f.Goal == nil {
		return ""
	}
	relation, outcome := ">=", "met"
	if f.Goal.AtMost {
		relation = "<="
	}
	if !*f.Met {
		outcome = "missed"
	}
	return fmt.Sprintf("%s %s: %s", relation, Number(f.Goal.Limit), outcome)
}

// Number writes a number for people: three digits that say something, and no fraction of what
// is a hundred or more.
func Number(v float64) string {
	switch abs := math.Abs(v); {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "-"
	case abs >= 100:
		return group(strconv.FormatFloat(v, 'f', 0, 64))
	case abs >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case abs >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	default:
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
}

// group puts a comma before every third digit from the end.
func group(digits string) string {
	for at := len(digits) - 3; at > 0 && digits[at-1] != '-'; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
