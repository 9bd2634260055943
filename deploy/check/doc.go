// Package check tests that what is in deploy/ for Prometheus and Grafana loads: every expression parses.
//
// It is a module of its own, because Prometheus, whose parser it is, has more dependencies than all else
// together. The names of metrics are tested in internal/metrics.
package check
