package plot

import "strings"

// Bars are values of several things beside each other.
type Bars struct {
	Title string
	Unit  string // of all values
	Bars  []Bar
}

// Bar is one of them.
type Bar struct {
	Label string
	Note  string // in small letters below the label
	Value Value
	Text  string // what is written for the value
}

const (
	barTop    = 58.0
	barPitch  = 36.0 // from one bar to the next
	barHeight = 18.0
	barLeft   = 230.0
	barRight  = width - 90 // the text of the largest value is to the right of it
	ours      = "longshore"
)

// SVG draws them.
func (b Bars) SVG() string {
	most := 0.0
	for _, bar := range b.Bars {
		most = max(most, bar.Value.Most)
	}
	if most == 0 {
		most = 1
	}
	at := func(v float64) float64 { return barLeft + (barRight-barLeft)*v/most }
	var p picture
	p.begin(b.Title, barTop+barPitch*float64(len(b.Bars))+4)
	p.text("note", leftEdge, titleLine+18, "start", b.Unit+"; lines show the least and the most of the rounds")
	for i, bar := range b.Bars {
		top := barTop + barPitch*float64(i)
		class := "other"
		if strings.HasPrefix(bar.Label, ours) {
			class = "ours"
		}
		p.text("label", barLeft-10, top+8, "end", bar.Label)
		p.text("note", barLeft-10, top+22, "end", bar.Note)
		p.put(`<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2"/>`+"\n",
			class, barLeft, top, max(at(bar.Value.Median)-barLeft, 1), barHeight)
		middle := top + barHeight/2
		p.line("spread", at(bar.Value.Least), middle, at(bar.Value.Most), middle)
		p.text("value", max(at(bar.Value.Median), at(bar.Value.Most))+8, top+14, "start", bar.Text)
	}
	return p.end()
}
