package report

import (
	"fmt"
	"slices"
)

// compared makes the table of a workload with a line for each system and a column for each measure.
// A cell has the median, the least and the most if there are several, and what became of the goal. What systems mean by
// their acknowledgements is beside their names.
func (r *Run) compared(workload string) table {
	var systems []string
	head := []string{""}
	cells := make(map[[2]string]*Figure)
	meant := false
	for _, f := range r.Figures {
		if f.Workload != workload {
			continue
		}
		if !slices.Contains(systems, f.System) {
			systems = append(systems, f.System)
			meant = meant || r.Means[f.System] != ""
		}
		if !slices.Contains(head, f.measure()) {
			head = append(head, f.measure())
		}
		cells[[2]string{f.System, f.measure()}] = f
	}
	t := table{slices.Clone(head)}
	for _, system := range systems {
		row := []string{system}
		for _, measure := range head[1:] {
			row = append(row, cells[[2]string{system, measure}].cell())
		}
		t = append(t, row)
	}
	if !meant {
		return t
	}
	for i := range t {
		means := "acknowledged means"
		if i > 0 {
			means = r.Means[t[i][0]]
		}
		t[i] = slices.Insert(t[i], 1, means)
	}
	return t
}

// cell is a figure in short; nothing if there is no figure.
func (f *Figure) cell() string {
	if f == nil {
		return ""
	}
	text := Number(f.Median)
	if len(f.Values) > 1 {
		text += fmt.Sprintf(" (%s-%s)", Number(f.Least), Number(f.Most))
	}
	if f.Goal != nil {
		text += " " + f.goal()
	}
	return text
}
