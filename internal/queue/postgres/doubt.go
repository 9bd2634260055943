package postgres

import (
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// doubts are about what this server itself has changed: it knows that from the answers to its
// statements, and reads only the changes of others. When an answer is lost, it looks at everything
// anew. Such a statement may still be under way then, and take effect later: so the server reads its
// own changes too, until that can no longer be. It is told of most of them twice.
type doubts struct {
	mu    sync.Mutex // guards what follows
	fresh bool       // nothing was looked at since the newest doubt
	until time.Time  // when the last statement is over for sure
	// once has the changes that were told of once; nil while there are no doubts.
	once map[changeOf]struct{}
}

// changeOf tells one change of a job from all others.
type changeOf struct {
	id      uuid.UUID
	version uint64
	deleted bool
}

// doubt takes notice of a statement that has failed, and may have changed something all the same.
func (t *tail) doubt(err error) {
	if !isUnknown(err) {
		return
	}
	t.lost()
	t.poke()
}

// lost takes notice that a connection was lost. The next one may lead to a database that has lost its last changes: one
// that takes over, or has crashed.
func (t *tail) lost() {
	t.store.lanes.forget()
	t.doubts.add()
}

func (d *doubts) add() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fresh, d.until = true, time.Now().Add(patience)
	if d.once == nil {
		d.once = make(map[changeOf]struct{})
	}
}

// ask tells whether there are doubts, and whether everything is to be looked at anew.
func (d *doubts) ask() (doubts, fresh bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.fresh && time.Now().After(d.until) {
		d.once = nil
	}
	return d.once != nil, d.fresh
}

// are reports whether there are doubts.
func (d *doubts) are() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.once != nil
}

// look begins to look at everything; failed tells that it came to nothing.
func (d *doubts) look() (failed func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.fresh
	d.fresh = false
	clear(d.once) // what was committed until now is seen, and not told of again
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.fresh = d.fresh || was
	}
}

// first returns those of this server's changes that it is told of for the first time.
func (d *doubts) first(changes []changed) []changed {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.once == nil {
		return changes
	}
	return slices.DeleteFunc(slices.Clone(changes), func(c changed) bool {
		of := changeOf{c.id, c.version, c.deleted}
		_, again := d.once[of]
		if again {
			delete(d.once, of)
		} else {
			d.once[of] = struct{}{}
		}
		return again
	})
}
