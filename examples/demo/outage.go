package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/longshore-queue/longshore/client"
)

// loseServer kills the server that the jobs were submitted to while they wait and run, and looks for
// them all: when it has been started again if it is the only one, else at another one before that.
func (t *story) loseServer(ctx context.Context) error {
	if err := poll(ctx, func() (bool, error) { _, found := t.cast.lingering(); return found, nil }); err != nil {
		return fmt.Errorf("wait for the first job to start: %w", err)
	}
	before, err := t.jobs.look(ctx)
	if err != nil {
		return err
	}
	t.tell("jobs: %s", tally(before))
	victim, others := t.cast.servers[0], t.cast.servers[1:]
	victim.process.kill()
	t.tell("KILL -9 of %s", victim.name)
	if len(others) == 0 {
		if err := t.startAgain(ctx, victim); err != nil {
			return err
		}
		return t.nothingLost(ctx, before)
	}
	if t.jobs.client, err = newClient(others[0].address); err != nil {
		return err
	}
	t.tell("%s is asked from now on", others[0].name)
	if err := t.nothingLost(ctx, before); err != nil {
		return err
	}
	return t.startAgain(ctx, victim)
}

func (t *story) startAgain(ctx context.Context, s *server) error {
	if err := t.cast.startServer(ctx, s); err != nil {
		return err
	}
	t.tell("%s started again: process %d on the same store", strings.TrimPrefix(s.name, "the "), s.process.pid())
	return nil
}

// nothingLost checks that the jobs are what they were before a server was killed, and that
// submitting them again creates none.
func (t *story) nothingLost(ctx context.Context, before []client.Job) error {
	after, err := t.jobs.look(ctx)
	if err != nil {
		return fmt.Errorf("after the end of a server: %w", err)
	}
	if err := t.jobs.kept(before, after); err != nil {
		return fmt.Errorf("after the end of a server: %w", err)
	}
	t.tell("all %d jobs are there: %s", len(after), tally(after))
	if err := t.jobs.again(ctx); err != nil {
		return fmt.Errorf("submitted once more: %w", err)
	}
	t.tell("submitted once more, as if the answer had been lost: the same jobs, and none besides")
	return nil
}
