package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/longshore-queue/longshore/internal/queue"
)

// keyLock is the advisory lock under which an API key is added: how many there are of its name is
// not to change meanwhile.
const keyLock = changeLock + 3

const (
	keyColumns   = `id, name, hash, scopes, channels, created, expires, last_used, rate_limit, max_waiting`
	lockKeys     = `SELECT pg_advisory_xact_lock($1)`
	countKeys    = `SELECT longshore.now(), count(*) FROM longshore.api_keys`
	namedKeys    = `SELECT ` + keyColumns + ` FROM longshore.api_keys WHERE id = $1 OR name = $2`
	insertKey    = `INSERT INTO longshore.api_keys (` + keyColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	deleteKeys   = `DELETE FROM longshore.api_keys WHERE id = ANY($1)`
	keysAfter    = `SELECT ` + keyColumns + ` FROM longshore.api_keys WHERE id > $1 ORDER BY id LIMIT $2`
	databaseTime = `SELECT longshore.now()`
	// Several servers may note the same keys at once: each locks them in the same order.
	useKeys = `
WITH used AS MATERIALIZED (
  SELECT k.id, u.at FROM unnest($1::text[], $2::timestamptz[]) AS u(id, at) JOIN longshore.api_keys k ON k.id = u.id COLLATE "C"
  ORDER BY k.id FOR UPDATE OF k
)
UPDATE longshore.api_keys k SET last_used = u.at FROM used u WHERE k.id = u.id AND (k.last_used IS NULL OR k.last_used < u.at)`
)

// CreateAPIKey adds an API key, which is good until its lifetime is over, by the database's clock.
// Keys of the same name that have expired go. *InvalidError; ErrAPIKeyExists, ErrTwoAPIKeys,
// ErrAPIKeyName, ErrTooManyAPIKeys.
func (s *Store) CreateAPIKey(ctx context.Context, add queue.NewAPIKey) (key queue.APIKey, err error) {
	if err := add.Validate(); err != nil {
		return queue.APIKey{}, err
	}
	if err := s.enter(); err != nil {
		return queue.APIKey{}, err
	}
	defer s.leave()
	err = s.database(ctx, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
			key, err = createKey(ctx, tx, &add)
			return err
		})
	})
	if err != nil {
		return queue.APIKey{}, err
	}
	return key, nil
}

func createKey(ctx context.Context, tx pgx.Tx, add *queue.NewAPIKey) (key queue.APIKey, err error) {
	if _, err := tx.Exec(ctx, lockKeys, int64(keyLock)); err != nil {
		return key, err
	}
	var now time.Time
	var all int
	if err := tx.QueryRow(ctx, countKeys).Scan(&now, &all); err != nil {
		return key, err
	}
	named, err := readKeys(ctx, tx, namedKeys, add.ID, add.Name)
	if err != nil {
		return key, err
	}
	key, expired, err := add.Admit(named, all, now.UTC())
	if err != nil {
		return key, err
	}
	if len(expired) > 0 {
		if _, err := tx.Exec(ctx, deleteKeys, expired); err != nil {
			return key, err
		}
	}
	_, err = tx.Exec(ctx, insertKey, keyRow(&key)...)
	return key, err
}

// RevokeAPIKey removes an API key. ErrNoAPIKey.
func (s *Store) RevokeAPIKey(ctx context.Context, id string) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.database(ctx, func(ctx context.Context) error {
		tag, err := s.pool.Exec(ctx, deleteKeys, []string{id})
		if err == nil && tag.RowsAffected() == 0 {
			err = queue.ErrNoAPIKey
		}
		return err
	})
}

// APIKeys returns a page of the API keys, also of those that have expired.
func (s *Store) APIKeys(ctx context.Context, listing queue.APIKeyListing) (page queue.APIKeyPage, err error) {
	if err := s.enter(); err != nil {
		return queue.APIKeyPage{}, err
	}
	defer s.leave()
	err = s.database(ctx, func(ctx context.Context) (err error) {
		if page.Keys, err = readKeys(ctx, s.pool, keysAfter, listing.After, listing.Limit+1); err != nil {
			return err
		}
		return s.pool.QueryRow(ctx, databaseTime).Scan(&page.Now)
	})
	if err != nil {
		return queue.APIKeyPage{}, err
	}
	page.Now = page.Now.UTC()
	if len(page.Keys) > listing.Limit {
		page.Keys, page.More = page.Keys[:listing.Limit], true
	}
	return page, nil
}

// UseAPIKeys notes when API keys were used last, by their ids. Keys that were used later, or that
// there are not, stay as they are.
func (s *Store) UseAPIKeys(ctx context.Context, used map[string]time.Time) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if len(used) == 0 {
		return nil
	}
	ids, times := make([]string, 0, len(used)), make([]time.Time, 0, len(used))
	for id, at := range used {
		ids, times = append(ids, id), append(times, at)
	}
	return s.database(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, useKeys, ids, times)
		return err
	})
}

// keyRow has the values of keyColumns.
func keyRow(k *queue.APIKey) []any {
	channels := k.Channels
	if channels == nil {
		channels = []string{}
	}
	var rate *float64
	if k.Limits.Rate != 0 {
		rate = &k.Limits.Rate
	}
	var waiting *int32
	if k.Limits.Waiting != 0 {
		waiting = new(int32(k.Limits.Waiting)) //nolint:gosec // bounded by queue.MaxAPIKeyWaiting
	}
	return []any{k.ID, k.Name, k.Hash[:], k.Scopes, channels, k.Created, nullTime(k.Expires), nullTime(k.LastUsed), rate, waiting}
}

// readKeys returns what a statement selects of keyColumns.
func readKeys(ctx context.Context, from reader, statement string, args ...any) ([]queue.APIKey, error) {
	rows, err := from.Query(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (k queue.APIKey, err error) {
		var hash []byte
		var expires, used *time.Time
		var rate *float64
		var waiting *int32
		if err := row.Scan(&k.ID, &k.Name, &hash, &k.Scopes, &k.Channels, &k.Created, &expires, &used, &rate, &waiting); err != nil {
			return k, err
		}
		if rate != nil {
			k.Limits.Rate = *rate
		}
		if waiting != nil {
			k.Limits.Waiting = int(*waiting)
		}
		if copy(k.Hash[:], hash) != len(k.Hash) {
			return k, fmt.Errorf("API key %q: %w", k.ID, queue.ErrDamaged)
		}
		if len(k.Channels) == 0 {
			k.Channels = nil
		}
		k.Created, k.Expires, k.LastUsed = k.Created.UTC(), timeOf(expires), timeOf(used)
		return k, nil
	})
}

// allKeys returns every API key that a transaction sees.
func allKeys(ctx context.Context, tx pgx.Tx) ([]queue.APIKey, error) {
	return readKeys(ctx, tx, keysAfter, "", nil)
}
