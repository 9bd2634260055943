package plot

import (
	"fmt"
	"html"
	"strings"
)

// Value is what is drawn: a median, and how far the rounds spread around it.
type Value struct{ Median, Least, Most float64 }

const (
	width     = 760.0
	leftEdge  = 12.0
	titleLine = 24.0 // where the text of the title stands
)

// style colors all pictures. Gray is what stands for others; the accent is for the product.
const style = `<style>
text{font:13px system-ui,sans-serif;fill:#1f2328}
.title{font-size:15px;font-weight:600}
.note,.axis{font-size:11px;fill:#656d76}
.grid{stroke:#8b949e;stroke-opacity:.3}
.spread{stroke:#1f2328;stroke-width:1.2}
.other{fill:#8b949e}.ours{fill:#2f81f7}
.line{fill:none;stroke-width:2}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.note,.axis{fill:#9198a1}.spread{stroke:#e6edf3}}
</style>
`

// picture is an SVG that is written.
type picture struct{ out strings.Builder }

func (p *picture) put(format string, values ...any) { fmt.Fprintf(&p.out, format, values...) }

func (p *picture) begin(title string, height float64) {
	p.put(`<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">`+"\n",
		width, height, width, height, html.EscapeString(title))
	p.out.WriteString(style)
	p.text("title", leftEdge, titleLine, "start", title)
}

func (p *picture) end() string {
	p.out.WriteString("</svg>\n")
	return p.out.String()
}

// text writes text whose start, middle or end is at x.
func (p *picture) text(class string, x, y float64, anchor, text string) {
	p.put(`<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", class, x, y, anchor, html.EscapeString(text))
}

// line draws a straight line.
func (p *picture) line(class string, x1, y1, x2, y2 float64) {
	p.put(`<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", class, x1, y1, x2, y2)
}
