// Package disk is what a disk allows: a queue that is a file to which the bytes of jobs, of leases
// and of reports are appended, and nothing else. Callers that come at the same time share one
// fdatasync, and the file is filled with zeros ahead of them, so that a sync need not change its
// size. There is no index, no protocol and no way to read anything back; a fetch waits for a job and
// is told that there is one.
package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
	"github.com/longshore-queue/longshore/bench/internal/peer"
)

const (
	// noteSize is what a lease or a report takes in the file: two ids and a time, in bytes.
	noteSize = 48
	// mostJobs is how many jobs may wait in a lane, which is far more than there ever are.
	mostJobs = 1 << 20
	// ahead is how much of the file is filled at once, in bytes.
	ahead = 512 << 10
)

var errClosed = errors.New("the session is closed")

// Disk is a file that is appended to.
type Disk struct {
	file   *os.File
	lanes  map[string]chan struct{}
	wanted chan struct{} // tells the syncer that there is something to sync
	ended  sync.WaitGroup
	offset int64 // everything before it is on disk; the syncer's, until it has ended

	mu      sync.Mutex // guards what follows
	pending []byte
	group   *group // the callers of what is pending
	closed  bool
}

// group is callers that share one sync.
type group struct {
	done chan struct{} // closed when it is on disk
	err  error         // read it after done
}

func newGroup() *group { return &group{done: make(chan struct{})} }

// Open makes the file.
func Open(path string) (*Disk, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	d := &Disk{file: file, wanted: make(chan struct{}, 1), group: newGroup(), lanes: map[string]chan struct{}{
		peer.Lane: make(chan struct{}, mostJobs), peer.OtherLane: make(chan struct{}, mostJobs),
	}}
	d.ended.Go(d.sync)
	return d, nil
}

// Close ends it. There are no sessions any more.
func (d *Disk) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	close(d.wanted)
	d.ended.Wait()
	return errors.Join(d.file.Truncate(d.offset), d.file.Close()) // nothing is ahead of what was appended any more
}

// Append appends bytes, and returns when they are on disk.
func (d *Disk) Append(text []byte) error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return errClosed
	}
	d.pending = append(d.pending, text...)
	mine := d.group
	select {
	case d.wanted <- struct{}{}:
	default: // it was told already
	}
	d.mu.Unlock()
	<-mine.done
	return mine.err
}

// sync writes and syncs what is there, over and over.
func (d *Disk) sync() {
	var writing []byte
	var filled int64
	for range d.wanted {
		d.mu.Lock()
		d.pending, writing = writing[:0], d.pending
		written := d.group
		d.group = newGroup()
		d.mu.Unlock()
		for ; filled < d.offset+int64(len(writing)); filled += ahead {
			_, _ = d.file.WriteAt(make([]byte, ahead), filled) // or it takes longer
		}
		if n, err := d.file.WriteAt(writing, d.offset); err != nil {
			written.err = fmt.Errorf("write: %w", err)
		} else if err := datasync(d.file); err != nil {
			written.err = fmt.Errorf("sync: %w", err)
		} else {
			d.offset += int64(n)
		}
		close(written.done)
	}
}

// Session opens a session.
func (d *Disk) Session(_ context.Context, lane string, caller int) (peer.Session, error) {
	return &session{disk: d, lane: d.lanes[lane], job: jobs.New(fmt.Sprint("disk ", caller)).Args(), ended: make(chan struct{})}, nil
}

type session struct {
	disk    *Disk
	lane    chan struct{}
	job     []byte
	fetched int
	closed  atomic.Bool
	ended   chan struct{}
}

// Add appends jobs.
func (s *session) Add(n int) error {
	text := make([]byte, 0, n*(len(s.job)+noteSize))
	for range n {
		text = append(append(text, s.job...), make([]byte, noteSize)...)
	}
	if err := s.disk.Append(text); err != nil {
		return err
	}
	for range n {
		s.lane <- struct{}{}
	}
	return nil
}

// Fetch waits for jobs and appends their leases.
func (s *session) Fetch(n int) error {
	for range n {
		select {
		case <-s.lane:
		case <-s.ended:
			return errClosed
		}
	}
	s.fetched = n
	return s.disk.Append(make([]byte, n*noteSize))
}

// Acknowledge appends reports.
func (s *session) Acknowledge() error { return s.disk.Append(make([]byte, s.fetched*noteSize)) }

// Close ends what it waits for.
func (s *session) Close() {
	if s.closed.CompareAndSwap(false, true) {
		close(s.ended)
	}
}
