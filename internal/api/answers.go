package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/sirupsen/logrus"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// The generated answers are used where they will do. These here take the place of those that
// carry opaque values, which encode.go writes, and of those that must know whether they were
// delivered.

// jobAnswer is a job, with status 200 or 201. It is written once, and then used again for
// another request, with its buffer: most of what a request takes of memory is in there.
type jobAnswer struct {
	api     *API
	status  int
	job     oapi.Job
	version uint64
	buffer  []byte
}

// answer is the answer that is one job.
func (a *API) answer(code int, job *queue.Job, status *queue.Status) *jobAnswer {
	answer, again := a.answers.Get().(*jobAnswer)
	if !again {
		answer = &jobAnswer{api: a}
	}
	answer.status, answer.job, answer.version = code, jobView(job, status), status.Version
	return answer
}

// VisitCreateJobResponse writes the answer.
func (a *jobAnswer) VisitCreateJobResponse(w http.ResponseWriter) error {
	// Both in one piece of memory, and their values in another one.
	text := appendUUID(append(make([]byte, 0, 80), "/v1/jobs/"...), a.job.Id)
	end := len(text)
	both := string(appendTag(text, a.version))
	values := [...]string{both[:end], both[end:]}
	header := w.Header()
	header["Location"], header["Etag"] = values[:1:1], values[1:]
	return a.write(w)
}

// VisitGetJobResponse writes the answer.
func (a *jobAnswer) VisitGetJobResponse(w http.ResponseWriter) error { return a.writeTagged(w) }

// VisitUpdateJobResponse writes the answer.
func (a *jobAnswer) VisitUpdateJobResponse(w http.ResponseWriter) error { return a.writeTagged(w) }

// VisitCancelJobResponse writes the answer.
func (a *jobAnswer) VisitCancelJobResponse(w http.ResponseWriter) error { return a.writeTagged(w) }

// VisitRetryJobResponse writes the answer.
func (a *jobAnswer) VisitRetryJobResponse(w http.ResponseWriter) error { return a.writeTagged(w) }

func (a *jobAnswer) writeTagged(w http.ResponseWriter) error {
	w.Header()["Etag"] = []string{string(appendTag(nil, a.version))}
	return a.write(w)
}

func (a *jobAnswer) write(w http.ResponseWriter) error {
	if size := jobSize(&a.job); cap(a.buffer) < size {
		a.buffer = make([]byte, 0, size)
	}
	a.buffer = appendJob(a.buffer[:0], &a.job)
	err := a.api.writeJSON(w, a.status, a.buffer)
	if cap(a.buffer) <= keepBuffer {
		a.job = oapi.Job{} // its args and results are not kept
		a.api.answers.Put(a)
	}
	return err
}

// batchAnswer is what became of a batch.
type batchAnswer struct {
	api  *API
	jobs []oapi.CreatedJob
}

// VisitCreateJobsResponse writes the answer.
func (a batchAnswer) VisitCreateJobsResponse(w http.ResponseWriter) error {
	return a.api.writeJSON(w, http.StatusCreated, appendCreatedJobs(make([]byte, 0, createdJobsSize(a.jobs)), a.jobs))
}

// heldLease is a lease that its holder looks at.
type heldLease struct {
	api   *API
	lease oapi.Lease
}

// VisitGetLeaseResponse writes the answer.
func (a heldLease) VisitGetLeaseResponse(w http.ResponseWriter) error {
	return a.api.writeLease(w, http.StatusOK, &a.lease)
}

// grantedLease is a new lease. It undoes the lease when it cannot be delivered: nobody would
// know the token, and the job would wait for the heartbeat timeout. It is kept when the call
// has an idempotency key: its client asks for it again, may have done so already, and may have
// it for long when it is this call that was repeated.
//
// A write that succeeds has reached the kernel and not the client, so a client that vanishes
// in that very moment does cost the job that wait. The context is looked at before the write
// only: a client may hang up as soon as it has read the answer, and holds the lease then.
type grantedLease struct {
	api   *API
	ctx   context.Context // of the request: ends when the client goes away
	lease queue.Lease
	kept  bool // also when it cannot be delivered
}

// complete reads what was withheld of the lease; see API.complete.
func (a *grantedLease) complete() error {
	if a.lease.Withheld == 0 {
		return nil
	}
	leases, err := a.api.complete(a.ctx, []queue.Lease{a.lease})
	if err == nil {
		a.lease = leases[0]
	}
	return err
}

// VisitDequeueResponse writes the answer, or undoes the lease.
func (a grantedLease) VisitDequeueResponse(w http.ResponseWriter) error { return a.write(w) }

// VisitDequeueJobResponse writes the answer, or undoes the lease.
func (a grantedLease) VisitDequeueJobResponse(w http.ResponseWriter) error { return a.write(w) }

func (a grantedLease) write(w http.ResponseWriter) error {
	if err := a.api.deliverable(a.ctx); err != nil {
		a.undo(w)
		return err
	}
	w.Header().Set("Location", "/v1/leases/"+a.lease.Token.String())
	lease := leaseView(a.lease, a.api.options.HeartbeatTimeout)
	err := a.api.writeLease(w, http.StatusCreated, &lease)
	if err == nil {
		a.api.allowTime(w, 0)
		err = flush(w)
	}
	if err != nil {
		a.undo(w)
		return fmt.Errorf("write the lease of job %s: %w", a.lease.JobID, err)
	}
	return nil
}

// undo releases the lease. The request's context has ended or is about to, so it has a
// context of its own.
func (a grantedLease) undo(w http.ResponseWriter) {
	if a.kept {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), releaseTimeout)
	defer cancel()
	a.api.undo(ctx, &a.lease, w.Header().Get(headerRequestID))
}

// deliverable tells why a lease is not to be handed over: the client went away, or may not have it any
// more.
func (a *API) deliverable(ctx context.Context) error {
	if ctx.Err() != nil {
		return errGone
	}
	return a.stands(ctx)
}

// undo releases a lease whose client is gone.
func (a *API) undo(ctx context.Context, lease *queue.Lease, requestID string) {
	log := a.log.WithFields(logrus.Fields{"request_id": requestID, "job": lease.JobID.String()})
	switch _, err := a.queue.Release(ctx, lease.Token, 0); {
	case errors.Is(err, queue.ErrLeaseLost):
		return // it has ended by itself
	case err != nil:
		log.WithError(err).Error("client is gone, and its lease could not be released")
		return
	}
	log.Info("client is gone; its lease was released")
}

// textAnswer is text that was made before, with status 200. It is long, anybody gets it, and it takes no time to
// ask for: it must not cost memory for each client that does not read it.
type textAnswer struct {
	api         *API
	contentType string
	text        []byte
	last        bool // answer on its connection
}

// textAnswer answers a request with a text.
func (a *API) textAnswer(ctx context.Context, contentType string, text []byte) textAnswer {
	return textAnswer{a, contentType, text, narrow(ctx)}
}

// VisitGetOpenAPIJSONResponse writes the contract.
func (a textAnswer) VisitGetOpenAPIJSONResponse(w http.ResponseWriter) error { return a.write(w) }

// VisitGetOpenAPIYAMLResponse writes the contract.
func (a textAnswer) VisitGetOpenAPIYAMLResponse(w http.ResponseWriter) error { return a.write(w) }

// VisitListErrorsResponse writes the catalogue.
func (a textAnswer) VisitListErrorsResponse(w http.ResponseWriter) error { return a.write(w) }

func (a textAnswer) write(w http.ResponseWriter) error {
	if a.last {
		w.Header().Set("Connection", "close")
	}
	return a.api.write(w, http.StatusOK, a.contentType, a.text)
}

func (a *API) writeLease(w http.ResponseWriter, status int, lease *oapi.Lease) error {
	return a.writeJSON(w, status, appendLease(make([]byte, 0, leaseSize(lease)), lease))
}

// writeJSON writes one answer that is JSON. The newline is for people with a shell.
func (a *API) writeJSON(w http.ResponseWriter, status int, body []byte) error {
	return a.write(w, status, "application/json", append(body, '\n'))
}

const (
	// heldBack is how much of an answer, in bytes, net/http keeps until its handler has
	// returned or flushes.
	heldBack = 2 << 10
	// slowest is how fast a client must read a long answer at least, in bytes a second.
	slowest = 64 << 10
)

// allowTime lets the client take the write timeout, and what size bytes need at the slowest,
// to read what is written from now on: one that does not read would hold its handler, and the
// answer in memory, for ever. It is called before everything that may have to wait for the
// client: a long body, a flush, and, by edge, the end of the handler.
//
// http.Server's WriteTimeout alone will not do. It begins before the body is read, so it
// would have to be longer than the longest poll, and it knows no sizes.
func (a *API) allowTime(w http.ResponseWriter, size int) {
	// Only a connection that has ended, or that of a test, cannot have a deadline.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(a.timeToRead(size)))
}

// allowTimeToEnd lets the client read what net/http has held back. It does not begin to write that before it has
// read a body that no handler has read, of a call that is refused or has none, for as long as a body may take.
func (a *API) allowTimeToEnd(c echo.Context, refused bool) {
	d := a.timeToRead(0)
	if r := c.Request(); r.ContentLength != 0 && (refused || r.Method != http.MethodPost && r.Method != http.MethodPatch) {
		d += a.options.BodyTimeout
	}
	_ = http.NewResponseController(c.Response().Writer).SetWriteDeadline(time.Now().Add(d))
}

func (a *API) timeToRead(size int) time.Duration {
	return a.options.WriteTimeout + time.Duration(size)*time.Second/slowest
}

// write writes one whole answer.
func (a *API) write(w http.ResponseWriter, status int, contentType string, body []byte) error {
	if len(body) > heldBack {
		a.allowTime(w, len(body))
	}
	values := [...]string{contentType, strconv.Itoa(len(body))}
	header := w.Header()
	header["Content-Type"] = values[:1:1]
	header["Content-Length"] = values[1:] // else a flush makes the answer chunked
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}

// flush hands what was written to the connection, and tells whether that failed. Echo's
// response keeps the error of a flush to itself, so it is passed by.
func flush(w http.ResponseWriter) error {
	if wrapped, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		w = wrapped.Unwrap()
	}
	err := http.NewResponseController(w).Flush()
	if errors.Is(err, http.ErrNotSupported) {
		return nil // nothing is held back then
	}
	return err
}
