package embedded

import (
	"encoding/binary"
	"fmt"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/queue"
)

// format returns the store's format; an error if it is none that this version reads.
func (v reader) format() (byte, error) {
	value, _, err := v.get([]byte(keyFormat))
	if err != nil {
		return 0, fmt.Errorf("read the store's format: %w", err)
	}
	if len(value) != 1 || value[0] < oldestFormat || value[0] > formatVersion {
		return 0, fmt.Errorf("the store has format %x; this version of the server reads %d to %d only", value, oldestFormat, formatVersion)
	}
	return value[0], nil
}

// takeFormat gives a store that is new, or has an older format, this one.
func (s *Store) takeFormat() error {
	_, found, err := s.get([]byte(keyFormat))
	if err != nil {
		return fmt.Errorf("read the store's format: %w", err)
	}
	format := byte(formatVersion)
	if found {
		if format, err = s.format(); err != nil || format == formatVersion {
			return err
		}
	}
	group, err := s.commit(func(c *change) error {
		c.set(append(c.key[:0], keyFormat...), append(c.value[:0], formatVersion))
		if format < formatWithBytes {
			return c.addBytes()
		}
		return nil
	})
	if err == nil {
		err = s.durable(group)
	}
	if err != nil {
		return fmt.Errorf("write the store's format: %w", err)
	}
	return nil
}

// addBytes adds up how large the args of all jobs are, which the c keys of older formats do not tell.
// It is the one thing about opening that takes as long as there are jobs, and is done once.
func (c *change) addBytes() error {
	s := c.store
	sums, err := s.sumBytes()
	if err != nil {
		return fmt.Errorf("add up how large the jobs are: %w", err)
	}
	return s.scan([]byte{prefixTally}, []byte{prefixTally + 1}, func(key, value []byte) (bool, error) {
		lane, _ := laneOfTallyKey(key) // one that is damaged keeps the store from being opened
		c.set(append(c.key[:0], key...), binary.AppendUvarint(append(c.value[:0], value...), uint64(sums[lane])))
		return true, nil
	})
}

// sumBytes returns, by lane, how large the args are of the jobs that are not over. What cannot be read
// is left out; the audit tells.
func (v reader) sumBytes() (sums map[queue.Lane]int64, err error) {
	sums = make(map[queue.Lane]int64)
	records, err := v.openCursor([]byte{prefixRecord}, []byte{prefixRecord + 1})
	if err != nil {
		return nil, err
	}
	defer func() { err = records.close(err) }()
	err = v.scan([]byte{prefixJob}, []byte{prefixJob + 1}, func(key, value []byte) (bool, error) {
		id, err := uuid.FromBytes(key[1:])
		if err != nil {
			return true, nil
		}
		r, found, err := records.record(id)
		var j job
		if err == nil {
			j, err = decodeJob(id, value, false)
		}
		switch {
		case isDamage(err):
			return true, nil
		case err == nil && (!found || isOpen(r.counted)): // one without a record is as it was enqueued
			sums[j.Lane()] += j.size
		}
		return true, err
	})
	return sums, err
}
