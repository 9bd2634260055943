package workload

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/wire"
)

// cyclingNext adds a job, and then leases one and finishes the one before in one request. There
// is always one to lease, as in cycling.
func (b *Bench) cyclingNext(connection int) load.Operation {
	job := newJobs(connection)
	request := wire.Post("/v1/dequeue", b.dequeue())
	gap := strings.Repeat("-", tokenSize)
	next := wire.Post("/v1/dequeue", strings.TrimSuffix(b.dequeue(), "}")+`,"finish":{"token":"`+gap+`","result":{"ok":true}}}`)
	token, _ := cutGap(next, gap)
	return func(c *wire.Conn) error {
		if _, err := c.Expect(http.StatusCreated, job()); err != nil {
			return fmt.Errorf("enqueue: %w", err)
		}
		lease, err := c.Expect(http.StatusCreated, request)
		if err != nil {
			return fmt.Errorf("dequeue: %w", err)
		}
		if n := copy(token, bytes.TrimPrefix(lease.Location, []byte(pathLeases))); n != tokenSize {
			return fmt.Errorf("%q is not the path of a lease", lease.Location)
		}
		request = next
		return nil
	}
}
