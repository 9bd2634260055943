package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/longshore-queue/longshore/internal/queue"
)

// CreateAPIKey adds an API key, which is good until its lifetime is over, by this store's clock.
// Keys of the same name that have expired go. *InvalidError; ErrAPIKeyExists, ErrTwoAPIKeys,
// ErrAPIKeyName, ErrTooManyAPIKeys.
//
// It reads all keys: there are few, it is rare, and no index has to be kept.
func (s *Store) CreateAPIKey(_ context.Context, add queue.NewAPIKey) (key queue.APIKey, err error) {
	if err := add.Validate(); err != nil {
		return queue.APIKey{}, err
	}
	if err := s.enter(); err != nil {
		return queue.APIKey{}, err
	}
	defer s.leave()
	group, err := s.commit(func(c *change) error {
		var named []queue.APIKey
		all := 0
		err := s.scanAPIKeys("", func(k *queue.APIKey) (bool, error) {
			all++
			if k.Name == add.Name || k.ID == add.ID {
				named = append(named, *k)
			}
			return true, nil
		})
		if err != nil {
			return err
		}
		var expired []string
		if key, expired, err = add.Admit(named, all, c.now); err != nil {
			return err
		}
		for _, id := range expired {
			c.delete(apiKeyKey(nil, id))
		}
		c.setAPIKey(&key)
		return nil
	})
	if err != nil {
		return queue.APIKey{}, s.answer(err)
	}
	return key, s.durable(group)
}

// RevokeAPIKey removes an API key. ErrNoAPIKey.
func (s *Store) RevokeAPIKey(_ context.Context, id string) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	key := apiKeyKey(nil, id)
	group, err := s.commit(func(c *change) error {
		found, err := s.view(key, func([]byte) error { return nil })
		if err == nil && !found {
			err = queue.ErrNoAPIKey
		}
		if err != nil {
			return err
		}
		c.delete(key)
		return nil
	})
	if err != nil {
		return s.answer(err)
	}
	return s.durable(group)
}

// APIKeys returns a page of the API keys, also of those that have expired.
func (s *Store) APIKeys(_ context.Context, listing queue.APIKeyListing) (queue.APIKeyPage, error) {
	if err := s.enter(); err != nil {
		return queue.APIKeyPage{}, err
	}
	defer s.leave()
	page, err := s.pageOfAPIKeys(listing, s.now())
	return page, s.answer(err)
}

// UseAPIKeys notes when API keys were used last, by their ids. Keys that were used later, or that
// there are not, stay as they are.
func (s *Store) UseAPIKeys(_ context.Context, used map[string]time.Time) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	group, err := s.commit(func(c *change) error {
		for id, at := range used {
			k, err := s.readAPIKey(id)
			at = storedTime(at)
			switch {
			case err == nil && k.LastUsed.Before(at):
				k.LastUsed = at
				c.setAPIKey(&k)
			case err == nil, errors.Is(err, queue.ErrNoAPIKey), isDamage(err): // which the audit tells
			default:
				return err
			}
		}
		return nil
	})
	if err != nil {
		return s.answer(err)
	}
	return s.durable(group)
}

// APIKeysIn returns all API keys of a store that nobody has open, without changing anything in it.
// ErrInUse.
func APIKeysIn(directory string) (keys []queue.APIKey, err error) {
	s, err := openStill(vfs.Default, directory)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	err = s.scanAPIKeys("", func(k *queue.APIKey) (bool, error) {
		keys = append(keys, *k)
		return true, nil
	})
	return keys, err
}

func (v reader) pageOfAPIKeys(listing queue.APIKeyListing, now time.Time) (queue.APIKeyPage, error) {
	page := queue.APIKeyPage{Now: now}
	err := v.scanAPIKeys(listing.After, func(k *queue.APIKey) (bool, error) {
		if page.More = len(page.Keys) == listing.Limit; !page.More {
			page.Keys = append(page.Keys, *k)
		}
		return !page.More, nil
	})
	return page, err
}

// scanAPIKeys calls use with the keys whose ids come after one, in their order, until use returns
// false or an error.
func (v reader) scanAPIKeys(after string, use func(*queue.APIKey) (bool, error)) error {
	from := apiKeyKey(nil, after)
	if after != "" {
		from = append(from, 0)
	}
	return v.scan(from, []byte{prefixAPIKey + 1}, func(key, value []byte) (bool, error) {
		k, err := decodeAPIKey(key, value)
		if err != nil {
			return false, err
		}
		return use(&k)
	})
}

func (v reader) readAPIKey(id string) (k queue.APIKey, err error) {
	key := apiKeyKey(nil, id)
	found, err := v.view(key, func(value []byte) error {
		k, err = decodeAPIKey(key, value)
		return err
	})
	if err == nil && !found {
		err = queue.ErrNoAPIKey
	}
	return k, err
}

func (c *change) setAPIKey(k *queue.APIKey) {
	c.set(apiKeyKey(c.key[:0], k.ID), encodeAPIKey(c.value[:0], k))
}

func apiKeyKey(buffer []byte, id string) []byte { return append(append(buffer, prefixAPIKey), id...) }

// encodeAPIKey encodes a k value. It has the id too, so that one which stands under another's is
// found.
func encodeAPIKey(buffer []byte, k *queue.APIKey) []byte {
	e := encoder(buffer)
	e.string(k.ID)
	e.string(k.Name)
	e.rest(k.Hash[:])
	for _, names := range [][]string{k.Scopes, k.Channels} {
		e.uint(uint64(len(names)))
		for _, name := range names {
			e.string(name)
		}
	}
	e.time(k.Created)
	e.time(k.Expires)
	e.time(k.LastUsed)
	if k.Limits != (queue.APIKeyLimits{}) { // which keys had not in the beginning
		e.float(k.Limits.Rate)
		e.uint(uint64(k.Limits.Waiting)) //nolint:gosec // it is not negative
	}
	return e
}

func decodeAPIKey(key, value []byte) (k queue.APIKey, err error) {
	d := decoder{left: value}
	k.ID, k.Name = d.string(), d.string()
	copy(k.Hash[:], d.take(uint64(len(k.Hash))))
	for _, names := range []*[]string{&k.Scopes, &k.Channels} {
		for range d.count(1) {
			*names = append(*names, d.string())
		}
	}
	k.Created, k.Expires, k.LastUsed = d.time(), d.time(), d.time()
	if len(d.left) > 0 {
		k.Limits.Rate, k.Limits.Waiting = d.float(), int(d.uint()) //nolint:gosec // who reads it checks it
	}
	if d.broken || len(d.left) > 0 || k.ID != string(key[1:]) || !slices.IsSorted(k.Channels) {
		return queue.APIKey{}, fmt.Errorf("API key %q: %w", key[1:], queue.ErrDamaged)
	}
	return k, nil
}
