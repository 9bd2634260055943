package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"time"
)

// follow fills the data directory with a copy of a primary that runs, and makes it its standby.
func (c *Cluster) follow(primary *Cluster) error {
	err := c.site.run(filepath.Join(c.site.bin, "pg_basebackup"), "--pgdata", c.data(), "--dbname", primary.replication(),
		"--wal-method", "stream", "--checkpoint", "fast", "--no-sync")
	if err != nil {
		return err
	}
	own := c.settings
	c.settings = maps.Clone(primary.settings)
	maps.Copy(c.settings, own)
	c.settings["primary_conninfo"] = fmt.Sprintf("%s application_name=%s", primary.replication(), c.name)
	// What the primary was told while it ran, such as which standbys to wait for, is its own.
	return errors.Join(
		c.site.write(filepath.Join(c.data(), "postgresql.auto.conf"), ""),
		c.site.write(filepath.Join(c.data(), "standby.signal"), ""))
}

// replication says how a standby connects: by the socket, whatever else there is.
func (c *Cluster) replication() string {
	return fmt.Sprintf("host=%s port=%d user=%s", c.dir, c.port, superuser)
}

// waitFor makes commits wait for a standby, and returns when they do.
func (c *Cluster) waitFor(standby string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.synchronous = append(c.synchronous, standby)
	names := fmt.Sprintf("FIRST %d (%s)", len(c.synchronous), strings.Join(c.synchronous, ", "))
	err := c.execute("ALTER SYSTEM SET synchronous_standby_names = '"+names+"'", "SELECT pg_reload_conf()")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is at stake
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	const query = `SELECT count(*) FROM pg_stat_replication WHERE application_name = $1 AND sync_state = 'sync'`
	for {
		var count int
		if err := conn.QueryRow(ctx, query, standby).Scan(&count); err != nil {
			return fmt.Errorf("wait until %s is synchronous: %w", standby, err)
		}
		if count == 1 {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until %s is synchronous: %w", standby, ctx.Err())
		}
	}
}

// Promote makes a primary of a standby, and returns when it accepts writes. Its old primary
// should have been stopped, and cannot follow it.
func (c *Cluster) Promote() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := c.connect(ctx)
	if err != nil {
		return fmt.Errorf("promote a standby: %w", err)
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is at stake
	var promoted bool
	if err := conn.QueryRow(ctx, "SELECT pg_promote()").Scan(&promoted); err != nil {
		return fmt.Errorf("promote a standby: %w", err)
	}
	if !promoted {
		return fmt.Errorf("the standby was not promoted in time; its log:\n%s", tail(c.log()))
	}
	return nil
}
