package queue

import (
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// Graph is how the jobs of one call to Enqueue hang together.
type Graph struct {
	// Order has the index of every job, each after those that it needs. It is the order in
	// which they were given, but that what a job needs is moved up to just before it.
	Order []int
	// Needed tells of every job whether another one needs it.
	Needed []bool
	needs  [][]int // by job, the index of each job that it needs
}

// NewGraph validates the jobs of one call and finds out how they hang together, in time that
// is linear in jobs and needs. *InvalidError: the first job that breaks a limit, a name that
// stands twice, a need that names no job of the call, or jobs that need each other.
func NewGraph(jobs []NewJob) (Graph, error) {
	if len(jobs) > MaxJobs {
		return Graph{}, &InvalidError{Field: "jobs", Reason: fmt.Sprintf("has %d entries; at most %d are allowed", len(jobs), MaxJobs)}
	}
	names := make(map[string]int)
	edges := 0
	for i := range jobs {
		n := &jobs[i]
		if edges += len(n.Dependencies) + len(n.Needs); edges > MaxEdges {
			return Graph{}, &InvalidError{Field: "jobs", Reason: fmt.Sprintf("have more than %d dependencies and needs in all", MaxEdges)}
		}
		if err := n.Validate(); err != nil {
			return Graph{}, OfJob(err, i)
		}
		if n.Name == "" {
			continue
		}
		if first, found := names[n.Name]; found {
			return Graph{}, &InvalidError{Job: i, Field: "name", Reason: fmt.Sprintf("%q is the name of jobs[%d] already", n.Name, first)}
		}
		names[n.Name] = i
	}
	g := Graph{Needed: make([]bool, len(jobs)), needs: make([][]int, len(jobs))}
	for i := range jobs {
		var err error
		if g.needs[i], err = indexesOf(jobs[i].Needs, names); err != nil {
			return Graph{}, OfJob(err, i)
		}
		for _, need := range g.needs[i] {
			g.Needed[need] = true
		}
	}
	if err := g.sort(jobs); err != nil {
		return Graph{}, err
	}
	return g, nil
}

// indexesOf returns the index of the job that each need names.
func indexesOf(needs []Need, names map[string]int) ([]int, error) {
	if len(needs) == 0 {
		return nil, nil
	}
	indexes := make([]int, len(needs))
	seen := make(map[string]bool, len(needs))
	for i, need := range needs {
		index, found := names[need.Name]
		switch {
		case !found:
			return nil, &InvalidError{Field: fmt.Sprintf("needs[%d]", i), Reason: fmt.Sprintf("%q is the name of no job of this call", need.Name)}
		case seen[need.Name]:
			return nil, &InvalidError{Field: fmt.Sprintf("needs[%d]", i), Reason: fmt.Sprintf("%q is there twice", need.Name)}
		}
		seen[need.Name] = true
		indexes[i] = index
	}
	return indexes, nil
}

// sort sets Order. It goes down from each job to what it needs, with a stack of its own:
// chains may be deep.
func (g *Graph) sort(jobs []NewJob) error {
	const (
		untouched = iota
		onPath    // somewhere below, what it needs is being looked at
		done
	)
	type visit struct{ job, next int } // next is the need to look at next
	state := make([]uint8, len(jobs))
	g.Order = make([]int, 0, len(jobs))
	var path []visit
	for root := range jobs {
		if state[root] == untouched {
			state[root] = onPath
			path = append(path[:0], visit{job: root})
		}
		for len(path) > 0 {
			top := &path[len(path)-1]
			if top.next == len(g.needs[top.job]) {
				state[top.job] = done
				g.Order = append(g.Order, top.job)
				path = path[:len(path)-1]
				continue
			}
			need := g.needs[top.job][top.next]
			top.next++
			switch state[need] {
			case untouched:
				state[need] = onPath
				path = append(path, visit{job: need})
			case onPath:
				var cycle []string
				for i := range path {
					if len(cycle) > 0 || path[i].job == need {
						cycle = append(cycle, jobs[path[i].job].Name)
					}
				}
				return &InvalidError{Job: top.job, Field: fmt.Sprintf("needs[%d]", top.next-1), Reason: describeCycle(cycle)}
			}
		}
	}
	return nil
}

// describeCycle names the jobs of a cycle, each of which needs the next.
func describeCycle(names []string) string {
	const shown = 8
	names = append(names, names[0])
	if len(names) > shown {
		names = append(append(names[:shown-2:shown-2], "..."), names[len(names)-1])
	}
	return "makes a cycle: " + strings.Join(names, " needs ")
}

// Edges returns what one job of the call depends on: its Dependencies, then its Needs. ids are
// those of the jobs of the call.
func (g *Graph) Edges(n *NewJob, index int, ids []uuid.UUID) []Edge {
	if len(n.Dependencies)+len(n.Needs) == 0 {
		return nil
	}
	edges := make([]Edge, 0, len(n.Dependencies)+len(n.Needs))
	for _, id := range n.Dependencies {
		edges = append(edges, Edge{ID: id, If: AsRunIf.of(n.RunIf)})
	}
	for i, need := range n.Needs {
		edges = append(edges, Edge{ID: ids[g.needs[index][i]], Name: need.Name, If: need.If.of(n.RunIf)})
	}
	return edges
}
