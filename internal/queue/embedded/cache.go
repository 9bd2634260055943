package embedded

import "github.com/google/uuid"

// recordCache holds the records that were written or read last, as they are on disk, so that
// a job that is claimed soon costs no read. Those of running jobs are kept with their leases,
// and those of pending ones that are beyond their lane's window are not kept.
//
// It has two generations: when the young one is full it becomes the old one, and the old one
// is forgotten. What is used lives on, because a use puts it into the young one; and there is
// neither a list to keep in order nor a sweep.
type recordCache struct {
	most       int // records of one generation
	young, old map[uuid.UUID]record
}

func (c *recordCache) put(id uuid.UUID, r record) {
	if len(c.young) >= c.most {
		c.old, c.young = c.young, c.old
		clear(c.young) // which is cheaper than to make another one as large
	}
	if c.young == nil {
		c.young = make(map[uuid.UUID]record)
	}
	c.young[id] = r
}

func (c *recordCache) get(id uuid.UUID) (record, bool) {
	if r, ok := c.young[id]; ok {
		return r, true
	}
	r, ok := c.old[id]
	if ok {
		c.put(id, r)
	}
	return r, ok
}

func (c *recordCache) forget(id uuid.UUID) {
	delete(c.young, id)
	delete(c.old, id)
}
