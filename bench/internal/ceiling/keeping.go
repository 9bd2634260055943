package ceiling

import (
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/longshore-queue/longshore/bench/internal/peer/disk"
	"github.com/longshore-queue/longshore/internal/queue"
)

const (
	// noteSize is how many bytes a job takes beside its args: ids, a time, where it stands.
	noteSize = 48
	// memTableSize is the product's, in bytes.
	memTableSize = 32 << 20
)

// keeping is a queue that has on disk what was added, and finds nothing of it again.
type keeping struct {
	nothing
	keep func(args []byte) error // returns once they are on disk
}

// Enqueue keeps the jobs.
func (k keeping) Enqueue(ctx context.Context, added []queue.NewJob) ([]queue.Enqueued, error) {
	for i := range added {
		if err := k.keep(added[i].Args); err != nil {
			return nil, err
		}
	}
	return k.nothing.Enqueue(ctx, added)
}

// openLog opens a keeping that appends to a file. Callers that come at the same time share a sync.
func openLog(directory string) (k keeping, closeIt func() error, err error) {
	log, err := disk.Open(filepath.Join(directory, "log"))
	if err != nil {
		return keeping{}, nil, fmt.Errorf("open the log: %w", err)
	}
	k.keep = func(args []byte) error {
		return log.Append(append(make([]byte, noteSize, noteSize+len(args)), args...))
	}
	return k, log.Close, nil
}

// openPebble opens a keeping that writes three keys of Pebble for each job, as the product does: the job, where it stands
// in line, and what is counted. Pebble has callers that come at the same time share a sync.
func openPebble(directory string) (k keeping, closeIt func() error, err error) {
	db, err := pebble.Open(filepath.Join(directory, "pebble"), &pebble.Options{MemTableSize: memTableSize, Logger: silent{}})
	if err != nil {
		return keeping{}, nil, fmt.Errorf("open Pebble: %w", err)
	}
	var last atomic.Uint64
	k.keep = func(args []byte) error {
		place := binary.BigEndian.AppendUint64([]byte{'j'}, last.Add(1))
		line := append([]byte{'r'}, place[1:]...)
		batch := db.NewBatch()
		for _, pair := range [][2][]byte{{place, args}, {line, place}, {[]byte("count"), place}} {
			if err := batch.Set(pair[0], pair[1], nil); err != nil {
				return err
			}
		}
		return batch.Commit(pebble.Sync)
	}
	return k, db.Close, nil
}

// silent is a logger of Pebble's.
type silent struct{ pebble.Logger }

// Infof says nothing.
func (silent) Infof(string, ...any) {}
