package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// writeCompared writes a workload with a column for each system and a line for each measure. A
// cell has the median, the least and the most, and what became of the goal.
func (r *Run) writeCompared(w io.Writer, workload string) error {
	var systems, measures []string
	cells := make(map[[2]string]*Figure)
	units := make(map[string]string)
	for _, f := range r.Figures {
		if f.Workload != workload {
			continue
		}
		if !slices.Contains(systems, f.System) {
			systems = append(systems, f.System)
		}
		if !slices.Contains(measures, f.Measure) {
			measures = append(measures, f.Measure)
			units[f.Measure] = f.measure()
		}
		cells[[2]string{f.Measure, f.System}] = f
	}
	var lines strings.Builder
	fmt.Fprintf(&lines, "%s\t%s\n", strings.ToUpper(workload), strings.Join(systems, "\t"))
	for _, measure := range measures {
		lines.WriteString(units[measure])
		for _, system := range systems {
			lines.WriteString("\t" + cells[[2]string{measure, system}].cell())
		}
		lines.WriteString("\n")
	}
	return align(w, lines.String())
}

// cell is a figure in short; nothing if there is no figure.
func (f *Figure) cell() string {
	if f == nil {
		return ""
	}
	text := fmt.Sprintf("%s (%s-%s)", Number(f.Median), Number(f.Least), Number(f.Most))
	if f.Goal != nil {
		text += " " + f.goal()
	}
	return text
}
