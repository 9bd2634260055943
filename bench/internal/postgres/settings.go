package postgres

import (
	"context"
	"fmt"
)

// durable are all the settings that matter to what is measured. The rest is as PostgreSQL has it by
// default.
func durable() map[string]string {
	return map[string]string{
		// The defaults, said aloud: an answer means that it is on disk.
		"fsync":              "on",
		"synchronous_commit": "on",
		"full_page_writes":   "on",
		// The default of 128 MB is for the smallest of machines.
		"shared_buffers": "512MB",
		// The defaults, where throw-away clusters have less or more.
		"max_wal_size":  "1GB",
		"wal_keep_size": "0",
		// Room for two servers, and for a peer that wants a connection for each of its callers.
		"max_connections": "200",
	}
}

// reported are the settings that are told beside the figures, as the running cluster says.
func reported() []string {
	return []string{
		"server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "shared_buffers",
		"max_connections", "max_wal_size", "checkpoint_timeout", "autovacuum", "jit", "lc_collate",
	}
}

// Settings asks the cluster how it is set.
func (c *Cluster) Settings(ctx context.Context) (map[string]string, error) {
	found := make(map[string]string)
	err := c.administer(ctx, func(a administration) error {
		for _, name := range reported() {
			var value string
			if err := a.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
				return fmt.Errorf("ask for the setting %s: %w", name, err)
			}
			found[name] = value
		}
		return nil
	})
	return found, err
}
