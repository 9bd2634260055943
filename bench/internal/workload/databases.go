package workload

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

// databaseFillTimeout bounds the filling of a database, which takes longer than that of a
// directory.
const databaseFillTimeout = time.Hour

// databases are the stores of the PostgreSQL engine, all in the one cluster.
type databases struct{ *Bench }

// newDatabase is a name that no database has.
func newDatabase() string { return "bench_" + strings.ReplaceAll(uuid.NewString(), "-", "_") }

// databaseOf reads the name off a store's.
func databaseOf(store string) (string, error) {
	u, err := url.Parse(store)
	if err != nil {
		return "", fmt.Errorf("the name of a store: %w", err)
	}
	return strings.TrimPrefix(u.Path, "/"), nil
}

func (d databases) fresh(ctx context.Context) (string, error) {
	name := newDatabase()
	return d.Cluster.URL(name), d.Cluster.Create(ctx, name)
}

func (d databases) copyOf(ctx context.Context, store string) (string, error) {
	from, err := databaseOf(store)
	if err != nil {
		return "", err
	}
	name := newDatabase()
	return d.Cluster.URL(name), d.Cluster.Copy(ctx, name, from)
}

func (d databases) remove(ctx context.Context, store string) error {
	name, err := databaseOf(store)
	if err != nil {
		return err
	}
	return d.Cluster.Drop(ctx, name)
}

func (d databases) size(ctx context.Context, store string) (float64, error) {
	name, err := databaseOf(store)
	if err != nil {
		return 0, err
	}
	bytes, err := d.Cluster.Size(ctx, name)
	return float64(bytes) / 1e6, err
}

// arguments make the schema too, which is there already when a second server comes.
func (d databases) arguments(store string) []string { return []string{"--store", store, "--migrate"} }

// fill goes through a server: this program knows neither the schema nor the engine. Afterwards
// the database is as it would be some time later.
func (d databases) fill(ctx context.Context, store, kind string, jobs int) (ids span, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, databaseFillTimeout, errors.New("a database was not filled in time"))
	defer cancel()
	name, err := databaseOf(store)
	if err != nil {
		return span{}, err
	}
	if ids, err = d.fillByServer(ctx, store, kind, jobs); err != nil {
		return span{}, err
	}
	if d.Unsettled {
		return ids, nil
	}
	return ids, d.Cluster.Settle(ctx, name)
}
