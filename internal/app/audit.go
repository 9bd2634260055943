package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/longshore-queue/longshore/internal/queue"
	"github.com/longshore-queue/longshore/internal/queue/embedded"
	"github.com/longshore-queue/longshore/internal/queue/postgres"
)

// Audit audits a store without changing anything in it; one in a directory must be open in no server. It writes what
// differs and the verdict, a line each, and reports whether the store is sound.
func Audit(ctx context.Context, store string, out io.Writer) (sound bool, err error) {
	audit, err := auditStore(ctx, store)
	if errors.Is(err, embedded.ErrInUse) {
		return false, fmt.Errorf("%s is in use by a server; stop it first", store)
	}
	if err != nil {
		return false, err
	}
	if _, err := io.WriteString(out, describeAudit(&audit)); err != nil {
		return false, fmt.Errorf("write what came of the audit: %w", err)
	}
	return audit.Sound(), nil
}

func auditStore(ctx context.Context, store string) (queue.Audit, error) {
	if IsDatabase(store) {
		return postgres.Audit(ctx, store)
	}
	return embedded.AuditDirectory(ctx, store)
}

// describeAudit says what came of an audit, the verdict last.
func describeAudit(audit *queue.Audit) string {
	var b strings.Builder
	for _, difference := range audit.Differences {
		b.WriteString(difference + "\n")
	}
	verdict := "sound"
	if n := len(audit.Differences) + audit.More; n > 0 {
		verdict = fmt.Sprintf("%d differences", n)
	}
	fmt.Fprintf(&b, "%s: %d jobs", verdict, audit.Jobs)
	for _, state := range queue.States() {
		if n := audit.Counts[state]; n > 0 {
			fmt.Fprintf(&b, ", %d %s", n, state)
		}
	}
	return b.String() + "\n"
}
