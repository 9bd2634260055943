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
	Postgres   map[string]string `json:"postgres,omitempty"` // how PostgreSQL is set, if there is one
	Compared   []string          `json:"compared,omitempty"` // workloads
	Figures    []*Figure         `json:"figures"`
}

// Take puts the figures into the run.
func (r *Run) Take(f *Figures) { r.Figures, r.Compared = f.list, f.compared }

// WriteJSON writes all there is.
func (r *Run) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// WriteTable writes a table for people.
func (r *Run) WriteTable(w io.Writer) error {
	for _, workload := range r.workloads() {
		write := r.writeWorkload
		if slices.Contains(r.Compared, workload) {
			write = r.writeCompared
		}
		if err := write(w, workload); err != nil {
			return err
		}
	}
	return nil
}

// workloads lists them in the order in which each came first.
func (r *Run) workloads() []string {
	var names []string
	for _, figure := range r.Figures {
		if !slices.Contains(names, figure.Workload) {
			names = append(names, figure.Workload)
		}
	}
	return names
}

func (r *Run) writeWorkload(w io.Writer, workload string) error {
	var lines strings.Builder
	fmt.Fprintf(&lines, "%s\t\tmedian\tleast\tmost\tgoal\n", strings.ToUpper(workload))
	for _, f := range r.Figures {
		if f.Workload == workload {
			fmt.Fprintf(&lines, "%s\t%s\t%s\t%s\t%s\t%s\n",
				f.System, f.measure(), Number(f.Median), Number(f.Least), Number(f.Most), f.goal())
		}
	}
	return align(w, lines.String())
}

// align writes lines with their columns below each other, and an empty line.
func align(w io.Writer, lines string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := io.WriteString(table, lines+"\n"); err != nil {
		return err
	}
	return table.Flush()
}

// Summary says on what and under what load the figures were measured.
func (r *Run) Summary() string {
	s := fmt.Sprintf("%s, %s, %d processors; %.0f s", r.Go, r.System, r.Processors, r.Took)
	if r.LoadBefore != nil && r.LoadAfter != nil {
		s += fmt.Sprintf("; load average %.2f before, %.2f after", *r.LoadBefore, *r.LoadAfter)
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
