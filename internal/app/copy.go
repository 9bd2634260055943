package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/embedded"
	"github.com/longshore-queue/longshore/internal/queue/postgres"
)

// copySource and copyTarget are what the engines open for a copy.
type copySource interface {
	queue.CopySource
	io.Closer
}

type copyTarget interface {
	queue.CopyTarget
	io.Closer
}

// Copy copies all that is in one store to another one, which must be empty and is kept only if both
// are sound and hold the same. Nobody may use either; nobody can until Copy has returned. It writes
// what came of it, a few lines.
func Copy(ctx context.Context, from, to string, out io.Writer) (err error) {
	source, err := openSource(ctx, from)
	if err != nil {
		return refusal(from, err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	target, err := openTarget(ctx, to)
	if err != nil {
		return refusal(to, err)
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	began := time.Now()
	copied, err := queue.Copy(ctx, source, target, began)
	if _, failure := io.WriteString(out, describeCopy(from, to, &copied, err == nil, time.Since(began))); failure != nil {
		err = errors.Join(err, fmt.Errorf("write what came of the copy: %w", failure))
	}
	return err
}

func openSource(ctx context.Context, store string) (copySource, error) {
	if IsDatabase(store) {
		return postgres.OpenCopySource(ctx, store)
	}
	return embedded.OpenCopySource(store)
}

func openTarget(ctx context.Context, store string) (copyTarget, error) {
	if IsDatabase(store) {
		return postgres.OpenCopyTarget(ctx, store)
	}
	return embedded.CreateCopyTarget(store)
}

// refusal says why a store cannot be copied, or filled.
func refusal(store string, err error) error {
	name := NameOfStore(store)
	switch {
	case errors.Is(err, embedded.ErrInUse):
		return fmt.Errorf("%s is in use by a server; stop it first", name)
	case errors.Is(err, queue.ErrNotEmpty):
		return fmt.Errorf("%s is not empty; a copy fills a new store only", name)
	default:
		return fmt.Errorf("%s: %w", name, err)
	}
}

// describeCopy says what came of a copy, as far as it went.
func describeCopy(from, to string, c *queue.Copied, kept bool, took time.Duration) string {
	var b strings.Builder
	for _, audited := range []struct {
		store string
		audit *queue.Audit
	}{{from, &c.Source}, {to, &c.Target}} {
		if audited.audit.Jobs == 0 && audited.audit.Sound() && !kept {
			continue // it did not go so far
		}
		for line := range strings.Lines(describeAudit(audited.audit)) {
			b.WriteString(NameOfStore(audited.store) + ": " + line)
		}
	}
	if kept && c.Mended > 0 {
		fmt.Fprintf(&b, "jobs in the reasons of whose failures U+FFFD stands for U+0000 in the copy: %d, such as %s\n", c.Mended, c.FirstMended)
	}
	if kept {
		fmt.Fprintf(&b, "copied: %d jobs, %d of which were running and wait again; idempotency keys: %d; API keys: %d; %.1f s, %.0f jobs a second\n",
			c.Jobs, c.Released, c.Calls, c.APIKeys, took.Seconds(), float64(c.Jobs)/took.Seconds())
	}
	return b.String()
}
