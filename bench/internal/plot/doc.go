// Package plot draws figures as SVG: horizontal bars, and lines over a size. The pictures have no
// background and follow the reader's choice of a dark or a light page. It measures and rounds
// nothing.
package plot
