//go:build unix && !linux

package pgcluster

// memory returns a directory that is in memory; only Linux has one everywhere.
func memory() string { return "" }
