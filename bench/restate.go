package main

import (
	"context"
	"fmt"

	"github.com/longshore-queue/longshore/bench/internal/report"
	"github.com/longshore-queue/longshore/bench/internal/workload"
)

// restateCommand says again in a page how costs grow, by the figures that are in it.
type restateCommand struct {
	Docs string `required:"true" placeholder:"FILE" help:"The page, which --docs of a run with the workload growth has written."`
}

// Run says it again.
func (r *restateCommand) Run(_ context.Context, out output) error {
	said, err := report.Restate(r.Docs, workload.SayGrowth)
	if err == nil {
		_, err = fmt.Fprintf(out.stdout, "%d sentences\n", said)
	}
	return err
}
