package workload

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Workload measures one thing.
type Workload struct {
	Name string
	Run  func(context.Context, *Bench) error
	// on are the stores on which it runs unless other workloads are asked for.
	on []string
	// only is the store without which it makes no sense; "" if there is none.
	only string
}

// all lists the workloads in the order in which they run.
func all() []Workload {
	embedded, database, both := []string{Embedded}, []string{Postgres}, []string{Embedded, Postgres}
	return []Workload{
		{Name: "enqueue", Run: enqueue, on: embedded},
		{Name: "batch", Run: batch, on: embedded},
		{Name: "cycle", Run: cycle, on: both},
		{Name: "batches", Run: batches, on: both},
		{Name: "wake", Run: wake, on: both},
		{Name: "graph", Run: graph, on: embedded},
		{Name: "backlog", Run: backlog, on: both},
		{Name: "prune", Run: prune, on: embedded},
		{Name: "questions", Run: questions, on: embedded},
		{Name: "readers", Run: readers, on: embedded},
		{Name: peersName, Run: peers, on: database},
		{Name: "filled", Run: filled, on: database},
		{Name: "servers", Run: servers, on: database, only: Postgres},
		{Name: "waiters", Run: waiters, on: database},
		{Name: "hold", Run: hold, on: database},
		{Name: "auth", Run: authenticate, only: Embedded},
		{Name: "protocols", Run: overProtocols},
		{Name: "idle", Run: idle},
		{Name: "slow", Run: slow},
		{Name: growthName, Run: growth},
		{Name: payloadName, Run: payload},
	}
}

// Select returns those of the names, or those that run on a store unless others are asked for.
func Select(names []string, store string) ([]Workload, error) {
	var chosen []Workload
	var known []string
	for _, w := range all() {
		known = append(known, w.Name)
		asked := slices.Contains(names, w.Name)
		if asked && w.only != "" && w.only != store {
			return nil, fmt.Errorf("%s is about a store of the kind %s", w.Name, w.only)
		}
		if asked || len(names) == 0 && slices.Contains(w.on, store) {
			chosen = append(chosen, w)
		}
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no workload %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}

// NeedsPostgres reports whether these workloads need a Cluster.
func (b *Bench) NeedsPostgres(chosen []Workload) bool {
	if b.Store == Postgres {
		return true
	}
	compares := slices.ContainsFunc(chosen, func(w Workload) bool { return w.Name == peersName })
	return compares && slices.ContainsFunc(b.contenders(), func(e entrant) bool { return e.postgres })
}
