package main

import (
	"bytes"
	"context"
	"os"

	"github.com/longshore-queue/longshore/bench/internal/where"
)

// whereCommand says where the time of profiles goes that --profile has written.
type whereCommand struct {
	Embedded string `required:"true" placeholder:"DIR" help:"The profiles of the server on the embedded store."`
	Postgres string `required:"true" placeholder:"DIR" help:"The profiles of the server on PostgreSQL."`
	Docs     string `required:"true" placeholder:"FILE" help:"The page of Markdown to write."`
}

// Run writes the page.
func (c *whereCommand) Run(context.Context, output) error {
	var page bytes.Buffer
	page.WriteString("<!-- Written by bench/; `make bench-where` replaces it. -->\n\n# Measured: where the time goes\n\n" +
		"Of CPU, allocation, mutex and block profiles of the server alone; the load generator and PostgreSQL are not in them.\n\n")
	if err := where.Write(&page, "Embedded store", c.Embedded); err != nil {
		return err
	}
	if err := where.Write(&page, "PostgreSQL", c.Postgres); err != nil {
		return err
	}
	return os.WriteFile(c.Docs, bytes.TrimRight(page.Bytes(), "\n"), 0o644)
}
