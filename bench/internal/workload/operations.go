package workload

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/wire"
)

const (
	// varieties is how many different jobs a connection adds, in turn.
	varieties = 32
	// tokenSize is how long a lease's token is.
	tokenSize = 36

	pathLeases  = "/v1/leases/"
	dequeueNow  = `{"types":["` + jobs.Type + `"]}`
	dequeueWait = `{"types":["` + jobs.Type + `"],"wait_seconds":30}`
	report200   = `{"result":{"ok":true}}`
)

// newJobs makes the requests that a connection adds jobs with.
func newJobs(connection int) func() []byte {
	return jobsOf(jobs.New("connection " + strconv.Itoa(connection)))
}

// sizedJobs are the same with args of another size.
func sizedJobs(connection, size int) func() []byte {
	return jobsOf(jobs.Sized("connection "+strconv.Itoa(connection), size))
}

func jobsOf(source *jobs.Source) func() []byte {
	requests := make([][]byte, varieties)
	for i := range requests {
		requests[i] = wire.Post("/v1/jobs", source.Body())
	}
	next := 0
	return func() []byte {
		next = (next + 1) % varieties
		return requests[next]
	}
}

// adding adds a job.
func adding(connection int) load.Operation {
	job := newJobs(connection)
	return func(c *wire.Conn) error {
		_, err := c.Expect(http.StatusCreated, job())
		return err
	}
}

// dequeue is how a job is leased of which it is known that it is there. In a database it may be
// there and not be seen: two claims that began at the same time pass over what the other one
// looks at, and see nothing that was added since. So the request is ready to wait, which it does
// in no other case.
func (b *Bench) dequeue() string {
	if b.Store == Postgres {
		return dequeueWait
	}
	return dequeueNow
}

// dequeueing leases a job and keeps the lease.
func (b *Bench) dequeueing(int) load.Operation {
	dequeue := wire.Post("/v1/dequeue", b.dequeue())
	return func(c *wire.Conn) error {
		_, err := c.Expect(http.StatusCreated, dequeue)
		return err
	}
}

// working leases a job, which it waits for if there is none, and finishes it.
func working(int) load.Operation {
	dequeue := wire.Post("/v1/dequeue", dequeueWait)
	finish := newFinish()
	return func(c *wire.Conn) error {
		lease, err := c.Expect(http.StatusCreated, dequeue)
		if err != nil {
			return fmt.Errorf("dequeue: %w", err)
		}
		return finish.of(c, lease)
	}
}

// cycling adds a job, leases one and finishes it. There is always one to lease: each
// connection has added one more than it has leased.
func (b *Bench) cycling(connection int) load.Operation { return b.cyclingWith(newJobs(connection)) }

// cyclingWith does so with other jobs.
func (b *Bench) cyclingWith(job func() []byte) load.Operation {
	dequeue := wire.Post("/v1/dequeue", b.dequeue())
	finish := newFinish()
	return func(c *wire.Conn) error {
		if _, err := c.Expect(http.StatusCreated, job()); err != nil {
			return fmt.Errorf("enqueue: %w", err)
		}
		lease, err := c.Expect(http.StatusCreated, dequeue)
		if err != nil {
			return fmt.Errorf("dequeue: %w", err)
		}
		return finish.of(c, lease)
	}
}

// finish reports that leases are done.
type finish struct{ template *wire.Template }

func newFinish() finish {
	return finish{wire.PostTemplate(pathLeases, tokenSize, "/finish", report200)}
}

// of finishes the lease that an answer granted.
func (f finish) of(c *wire.Conn, lease wire.Response) error {
	request, err := f.template.Fill(bytes.TrimPrefix(lease.Location, []byte(pathLeases)))
	if err != nil {
		return fmt.Errorf("the token of a lease: %w", err)
	}
	if _, err := c.Expect(http.StatusOK, request); err != nil {
		return fmt.Errorf("finish: %w", err)
	}
	return nil
}
