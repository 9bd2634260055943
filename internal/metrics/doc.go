// Package metrics counts what a server does, and tells Prometheus. It owns the registry and every
// name in it; nothing else of the server knows Prometheus.
//
// The parts of the server declare what they tell, as small interfaces of plain values, and the types
// of this package have those methods. Counters and histograms are of what this very server did; what
// it tells of the jobs in the store is the store's, and so the same on every server of one database.
//
// It does not serve anything by itself, and no label has a value that a client can make up without
// bound: see MaxLanes.
package metrics
