package workload

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
	"github.com/longshore-queue/longshore/bench/internal/wire"
)

const (
	// MostJobs is how many jobs one call may add, and how many others one job may depend on.
	MostJobs = 10_000
	// LeastGraph is how many jobs make a graph: a diamond has a root, a sink and a last job.
	LeastGraph = 3
)

// ends are the ids of two jobs of a graph: the root is the only one that depends on nothing,
// and the last one the only one that nothing depends on.
type ends struct{ root, last string }

// shape adds so many jobs that hang together in some way.
type shape struct {
	name string
	add  func(a *adder, nodes int) (ends, error)
}

func chained() shape     { return shape{"chain", (*adder).chain} }
func diamondly() shape   { return shape{"diamond", (*adder).diamond} }
func independent() shape { return shape{"independent jobs", (*adder).independent} }

// adder adds jobs in large batches.
type adder struct {
	conn   *wire.Conn
	source *jobs.Source
}

// post adds the jobs and returns their ids.
func (a *adder) post(batch []string) ([]string, error) {
	r, err := a.conn.Expect(http.StatusCreated, postBatch(batch))
	if err != nil {
		return nil, fmt.Errorf("add jobs: %w", err)
	}
	var answer struct {
		Jobs []struct{ ID string }
	}
	if err := json.Unmarshal(r.Body, &answer); err != nil {
		return nil, fmt.Errorf("the answer to a batch: %w", err)
	}
	if len(answer.Jobs) != len(batch) {
		return nil, fmt.Errorf("%d jobs were added where %d were given", len(answer.Jobs), len(batch))
	}
	ids := make([]string, len(batch))
	for i := range ids {
		ids[i] = answer.Jobs[i].ID
	}
	return ids, nil
}

// independent adds jobs that do not depend on each other.
func (a *adder) independent(nodes int) (ends, error) {
	for left := nodes; left > 0; left -= MostJobs {
		batch := make([]string, min(left, MostJobs))
		for i := range batch {
			batch[i] = a.source.Body()
		}
		if _, err := a.post(batch); err != nil {
			return ends{}, err
		}
	}
	return ends{}, nil
}

// chain adds jobs each of which depends on the one before.
func (a *adder) chain(nodes int) (e ends, err error) {
	for left := nodes; left > 0; left -= MostJobs {
		batch := make([]string, min(left, MostJobs))
		for i := range batch {
			name := `"name":"n` + strconv.Itoa(i) + `",`
			switch {
			case i > 0:
				batch[i] = a.source.BodyWith(name + `"needs":["n` + strconv.Itoa(i-1) + `"],`)
			case e.last != "":
				batch[i] = a.source.BodyWith(name + dependOn(e.last))
			default:
				batch[i] = a.source.BodyWith(name)
			}
		}
		ids, err := a.post(batch)
		if err != nil {
			return ends{}, err
		}
		if e.root == "" {
			e.root = ids[0]
		}
		e.last = ids[len(ids)-1]
	}
	return e, nil
}

// diamond adds a root, jobs that depend on it, sinks each of which depends on as many of those
// as one job can, and a last job that depends on all sinks.
func (a *adder) diamond(nodes int) (ends, error) {
	root, err := a.post([]string{a.source.Body()})
	if err != nil {
		return ends{}, err
	}
	var sinks []string
	for left := nodes - 2; left > 0; left -= MostJobs {
		sink, err := a.fan(root[0], min(left, MostJobs))
		if err != nil {
			return ends{}, err
		}
		sinks = append(sinks, sink)
	}
	last, err := a.post([]string{a.source.BodyWith(dependOn(sinks...))})
	if err != nil {
		return ends{}, err
	}
	return ends{root: root[0], last: last[0]}, nil
}

// fan adds a sink and what it needs, which depends on the root. A sink that is alone depends
// on the root itself.
func (a *adder) fan(root string, nodes int) (sink string, err error) {
	batch := make([]string, nodes)
	needs := make([]string, nodes-1)
	for i := range needs {
		needs[i] = `"n` + strconv.Itoa(i) + `"`
		batch[i] = a.source.BodyWith(`"name":` + needs[i] + `,` + dependOn(root))
	}
	if nodes == 1 {
		batch[0] = a.source.BodyWith(dependOn(root))
	} else {
		batch[nodes-1] = a.source.BodyWith(`"needs":[` + strings.Join(needs, ",") + `],`)
	}
	ids, err := a.post(batch)
	if err != nil {
		return "", err
	}
	return ids[nodes-1], nil
}

func dependOn(ids ...string) string {
	return `"dependencies":["` + strings.Join(ids, `","`) + `"],`
}
