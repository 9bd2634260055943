package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/longshore-queue/longshore/client"
)

// compare returns one sentence for each way in which the table differs from what wc said, and
// for each job that did not end as its file deserves. finished are the counting jobs, in the
// order of sources. None is agreement.
func compare(t table, said map[string]counts, sources []source, finished []client.Job) []string {
	var complaints []string
	complain := func(format string, args ...any) {
		complaints = append(complaints, fmt.Sprintf(format, args...))
	}
	counted := make(map[string]counts, len(t.rows))
	var total counts
	for _, r := range t.rows {
		if _, twice := counted[r.name]; twice {
			complain("%s is in the table twice", r.name)
		}
		counted[r.name] = r.counts
		total = total.plus(r.counts)
	}
	if total != t.total {
		complain("the rows add up to %v, but the total of the table is %v", total, t.total)
	}
	for i, s := range sources {
		want, readable := said[s.name]
		got, found := counted[s.name]
		delete(counted, s.name)
		job := finished[i]
		switch {
		case !readable && job.State != client.Failed:
			complain("%q cannot be read by wc, but its job is %s", s.path, job.State)
		case readable && job.State != client.Finished:
			complain("%q is readable, but its job is %s%s", s.path, job.State, reason(job))
		case readable != found:
			complain("%q is readable: %t; in the table: %t", s.path, readable, found)
		case got != want:
			complain("%q has %v in the table, but wc says %v", s.path, got, want)
		}
	}
	for name := range counted {
		complain("%s is in the table, but not in the directory", name)
	}
	return complaints
}

// String makes counts readable in complaints.
func (c counts) String() string {
	return fmt.Sprintf("%d lines and %d words", c.lines, c.words)
}

func reason(job client.Job) string {
	if job.Error == nil {
		return ""
	}
	return fmt.Sprintf(" (%s %s)", job.Error.Reason, job.Error.Details)
}

// changed returns how many of the files were written to since the given time: for them, the
// jobs and wc may both be right.
func changed(dir string, sources []source, since time.Time) int {
	n := 0
	for _, s := range sources {
		info, err := os.Stat(filepath.Join(dir, s.path))
		if err != nil || info.ModTime().After(since) {
			n++
		}
	}
	return n
}
