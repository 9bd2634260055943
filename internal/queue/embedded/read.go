package embedded

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// reader reads a store: as it is, or as it was when a snapshot of it was taken.
type reader struct{ from pebble.Reader }

// get returns a copy of a key's value.
func (v reader) get(key []byte) (value []byte, found bool, err error) {
	found, err = v.view(key, func(found []byte) error {
		value = append([]byte(nil), found...)
		return nil
	})
	return value, found, err
}

// view calls use with a key's value, which is valid only until use returns.
func (v reader) view(key []byte, use func([]byte) error) (found bool, err error) {
	value, closer, err := v.from.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, readError(err)
	}
	err = use(value)
	if closeErr := closer.Close(); err == nil && closeErr != nil {
		err = readError(closeErr)
	}
	return true, err
}

// readError tells damage, which concerns what was asked for only, from other accidents.
func readError(err error) error {
	if pebble.IsCorruptionError(err) {
		return fmt.Errorf("%w: %w", queue.ErrDamaged, err)
	}
	return fmt.Errorf("read the store: %w", err)
}

// readJob returns what was given at Enqueue; withArgs false leaves Args nil. ErrNotExist.
func (v reader) readJob(id uuid.UUID, withArgs bool) (j job, err error) {
	found, err := v.view(idKey(nil, prefixJob, id), func(value []byte) error {
		j, err = decodeJob(id, value, withArgs)
		return err
	})
	if err == nil && !found {
		err = queue.ErrNotExist
	}
	return j, err
}

// readRecord returns the job's record as it was committed last. ErrNotExist, also if the job was
// deleted.
func (v reader) readRecord(id uuid.UUID) (record, error) { return hidden(v.readKept(id)) }

// readKept is readRecord, but for a job that was deleted and that is still needed returns its
// record.
func (v reader) readKept(id uuid.UUID) (record, error) {
	r, err := v.readStoredRecord(id)
	if !errors.Is(err, queue.ErrNotExist) {
		return r, err
	}
	j, err := v.readJob(id, false)
	if err != nil {
		return record{}, err
	}
	var queued time.Time
	_, err = v.view(readyKey(nil, j.Lane(), positionOf(j.Priority, j.place)), func(value []byte) (err error) {
		_, queued, err = decodeReady(value)
		return err
	})
	if err != nil {
		return record{}, err
	}
	if !queued.IsZero() {
		r = enqueuedRecord(j.number, queued, j.Priority)
		r.size = j.size
		return r, nil
	}
	// Something has happened to it, perhaps since the first look: then it has an s key now,
	// and keeps it until the job is gone.
	r, err = v.readStoredRecord(id)
	if errors.Is(err, queue.ErrNotExist) {
		if _, err := v.readJob(id, false); err != nil {
			return record{}, err
		}
	}
	return r, mustExist(err)
}

func (v reader) readStoredRecord(id uuid.UUID) (r record, err error) {
	found, err := v.view(idKey(nil, prefixRecord, id), func(value []byte) error {
		r, err = decodeRecord(id, value)
		return err
	})
	if err == nil && !found {
		err = queue.ErrNotExist
	}
	return r, err
}

// readOutcome returns the job's outcome; an empty one if it has none.
func (v reader) readOutcome(id uuid.UUID) (o queue.Outcome, err error) {
	_, err = v.view(idKey(nil, prefixOutcome, id), func(value []byte) error {
		o, err = decodeOutcome(id, value)
		return err
	})
	return o, err
}

// readEndedLease returns what is remembered of a lease that is over. ErrNotExist if no lease
// ever had the token.
func (v reader) readEndedLease(token uuid.UUID) (l queue.EndedLease, err error) {
	found, err := v.view(idKey(nil, prefixEndedLease, token), func(value []byte) error {
		l, err = decodeEndedLease(value)
		return err
	})
	if err == nil && !found {
		err = queue.ErrNotExist
	}
	return l, err
}

// scan calls use with the keys and values from lower up to, not including, upper, in order,
// until use returns false or an error. Keys and values are valid only until use returns.
func (v reader) scan(lower, upper []byte, use func(key, value []byte) (bool, error)) (err error) {
	k, err := v.openCursor(lower, upper)
	if err != nil {
		return err
	}
	defer func() { err = k.close(err) }()
	return k.scan(lower, upper, use)
}

// cursor scans one after another of many ranges, for less than as many calls of Store.scan
// cost. It sees the store as it was when it was opened.
type cursor struct{ it *pebble.Iterator }

// openCursor opens a cursor for ranges from lower up to upper. The caller must close it.
func (v reader) openCursor(lower, upper []byte) (cursor, error) {
	it, err := v.from.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return cursor{}, readError(err)
	}
	return cursor{it}, nil
}

// scan is Store.scan, within the range of the cursor.
func (k cursor) scan(lower, upper []byte, use func(key, value []byte) (bool, error)) error {
	for valid := k.it.SeekGE(lower); valid && bytes.Compare(k.it.Key(), upper) < 0; valid = k.it.Next() {
		value, err := k.it.ValueAndErr()
		if err != nil {
			return readError(err)
		}
		if more, err := use(k.it.Key(), value); err != nil || !more {
			return err
		}
	}
	if err := k.it.Error(); err != nil {
		return readError(err)
	}
	return nil
}

// record returns a job's record as it was when the cursor was opened; false if it has none.
func (k cursor) record(id uuid.UUID) (r record, found bool, err error) {
	key := idKey(nil, prefixRecord, id)
	if !k.it.SeekGE(key) || !bytes.Equal(k.it.Key(), key) {
		if err := k.it.Error(); err != nil {
			return record{}, false, readError(err)
		}
		return record{}, false, nil
	}
	value, err := k.it.ValueAndErr()
	if err != nil {
		return record{}, false, readError(err)
	}
	r, err = decodeRecord(id, value)
	return r, true, err
}

// close closes the cursor, and returns err or, if that is nil, what closing returns.
func (k cursor) close(err error) error {
	if closeErr := k.it.Close(); err == nil && closeErr != nil {
		return readError(closeErr)
	}
	return err
}
