package postgres

import (
	"context"
	"fmt"
)

// setting is a line of the configuration.
type setting struct{ name, value string }

// settings are all that the cluster is told. The rest is as PostgreSQL has it by default.
func settings(directory string) []setting {
	return []setting{
		// Nobody else reaches it.
		{"listen_addresses", ""},
		{"unix_socket_directories", directory},
		{"port", port},
		// The defaults, said aloud: an answer means that it is on disk.
		{"fsync", "on"},
		{"synchronous_commit", "on"},
		{"full_page_writes", "on"},
		// The default of 128 MB is for the smallest of machines.
		{"shared_buffers", "512MB"},
		// Room for two servers, and for a peer that wants a connection for each of its callers.
		{"max_connections", "200"},
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
