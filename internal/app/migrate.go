package app

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/longshore-queue/longshore/internal/queue/postgres"
)

// Migrate brings the schema of a database up to date, writes a line for each step that it took, and
// then what MigrationStatus does.
func Migrate(ctx context.Context, store string, out io.Writer) (current bool, err error) {
	steps, err := postgres.Migrate(ctx, store)
	for _, step := range steps {
		if _, err := fmt.Fprintf(out, "applied %s\n", step.Name); err != nil {
			return false, fmt.Errorf("write what was done: %w", err)
		}
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", NameOfStore(store), err)
	}
	return MigrationStatus(ctx, store, out)
}

// MigrationStatus writes a line for each step of a database's schema, and the verdict; it reports
// whether the schema is up to date.
func MigrationStatus(ctx context.Context, store string, out io.Writer) (current bool, err error) {
	steps, err := postgres.Migrations(ctx, store)
	if err != nil {
		return false, fmt.Errorf("%s: %w", NameOfStore(store), err)
	}
	open := 0
	for _, step := range steps {
		state := "not applied"
		if step.Applied.IsZero() {
			open++
		} else {
			state = "applied " + step.Applied.UTC().Format(time.RFC3339)
		}
		if _, err := fmt.Fprintf(out, "%s: %s\n", step.Name, state); err != nil {
			return false, fmt.Errorf("write the steps: %w", err)
		}
	}
	verdict := fmt.Sprintf("up to date: version %d\n", postgres.Version)
	if open > 0 {
		verdict = fmt.Sprintf("not up to date: steps to go: %d; run longshore-server migrate up\n", open)
	}
	if _, err := io.WriteString(out, verdict); err != nil {
		return false, fmt.Errorf("write the verdict: %w", err)
	}
	return open == 0, nil
}
