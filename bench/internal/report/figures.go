// Package report keeps what was measured and writes it, as a table for people and as JSON for
// programs. It measures nothing.
package report

import (
	"slices"

	"github.com/longshore-queue/longshore/bench/internal/stat"
)

// Name is what a figure is called.
type Name struct {
	Workload string `json:"workload"`
	System   string `json:"system"`
	Measure  string `json:"measure"`
	Unit     string `json:"unit"`
}

// Goal is what the median of a figure should reach.
type Goal struct {
	Limit float64 `json:"limit"`
	// AtMost: the median should not exceed the limit; else it should not fall below it.
	AtMost bool `json:"at_most"`
}

// Figure is one thing that was measured, once in each round.
type Figure struct {
	Name

	Median float64   `json:"median"`
	Least  float64   `json:"least"`
	Most   float64   `json:"most"`
	Values []float64 `json:"values"` // in the order of the rounds
	Goal   *Goal     `json:"goal,omitempty"`
	Met    *bool     `json:"goal_met,omitempty"`
}

// Figures are all of them, in the order in which each was added first. The zero Figures is
// ready to use. It is not safe for concurrent use.
type Figures struct {
	list     []*Figure
	compared []string // workloads
	means    map[string]string
	leftOut  map[string]string
	plots    []Plot
	findings []Finding
}

// Finding is a sentence that the figures of a workload say.
type Finding struct {
	Workload string `json:"workload"`
	Text     string `json:"text"`
}

// Find adds a finding.
func (f *Figures) Find(found Finding) { f.findings = append(f.findings, found) }

// Median is that of a figure; false if there is no such figure.
func (f *Figures) Median(name Name) (float64, bool) {
	if figure := f.find(name); figure != nil {
		return figure.Median, true
	}
	return 0, false
}

// Shown is a figure as tables show it, rounded; false if there is no such figure.
func (f *Figures) Shown(name Name) (Shown, bool) {
	figure := f.find(name)
	if figure == nil {
		return Shown{}, false
	}
	return Shown{shown(figure.Median), shown(figure.Least), shown(figure.Most)}, true
}

// Describe says what it means that a system has acknowledged something. It is told beside its figures.
func (f *Figures) Describe(system, means string) {
	if f.means == nil {
		f.means = make(map[string]string)
	}
	f.means[system] = means
}

// LeaveOut says why a system is not there.
func (f *Figures) LeaveOut(system, why string) {
	if f.leftOut == nil {
		f.leftOut = make(map[string]string)
	}
	f.leftOut[system] = why
}

// Plot adds a picture.
func (f *Figures) Plot(p Plot) { f.plots = append(f.plots, p) }

// Compare shows the systems of a workload below each other, with a column for each measure.
func (f *Figures) Compare(workload string) {
	if !slices.Contains(f.compared, workload) {
		f.compared = append(f.compared, workload)
	}
}

// Add adds the value of one more round.
func (f *Figures) Add(name Name, value float64) {
	figure := f.find(name)
	if figure == nil {
		figure = &Figure{Name: name}
		f.list = append(f.list, figure)
	}
	figure.Values = append(figure.Values, value)
	figure.summarize()
}

// Ratio adds a figure: in each round, a divided by b. Nothing is added if there is no b.
func (f *Figures) Ratio(name, a, b Name) {
	above, below := f.find(a), f.find(b)
	if above == nil || below == nil || len(above.Values) != len(below.Values) {
		return
	}
	for _, ratio := range stat.Ratios(above.Values, below.Values) {
		f.Add(name, ratio)
	}
}

// Aim sets the goal of a figure, if there is that figure.
func (f *Figures) Aim(name Name, goal Goal) {
	if figure := f.find(name); figure != nil {
		figure.Goal = &goal
		figure.summarize()
	}
}

func (f *Figures) find(name Name) *Figure {
	if i := slices.IndexFunc(f.list, func(figure *Figure) bool { return figure.Name == name }); i >= 0 {
		return f.list[i]
	}
	return nil
}

func (f *Figure) summarize() {
	f.Median = stat.Median(f.Values)
	f.Least, f.Most = slices.Min(f.Values), slices.Max(f.Values)
	if f.Goal != nil {
		met := f.Median >= f.Goal.Limit
		if f.Goal.AtMost {
			met = f.Median <= f.Goal.Limit
		}
		f.Met = &met
	}
}
