package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/sirupsen/logrus"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// The generated answers are used where they will do. These here take the place of those that
// carry opaque values, which encode.go writes, and of those that must know whether they were
// delivered.

// jobAnswer is a job, with status 200 or 201.
type jobAnswer struct {
	status int
	job    oapi.Job
}

// VisitCreateJobResponse writes the answer.
func (a jobAnswer) VisitCreateJobResponse(w http.ResponseWriter) error {
	w.Header().Set("Location", "/v1/jobs/"+a.job.Id.String())
	return a.write(w)
}

// VisitGetJobResponse writes the answer.
func (a jobAnswer) VisitGetJobResponse(w http.ResponseWriter) error {
	return a.write(w)
}

// VisitCancelJobResponse writes the answer.
func (a jobAnswer) VisitCancelJobResponse(w http.ResponseWriter) error {
	return a.write(w)
}

func (a jobAnswer) write(w http.ResponseWriter) error {
	return writeJSON(w, a.status, appendJob(make([]byte, 0, encodedSize+len(a.job.Args)+len(a.job.Result)), &a.job))
}

// heldLease is a lease that its holder looks at.
type heldLease struct{ lease oapi.Lease }

// VisitGetLeaseResponse writes the answer.
func (a heldLease) VisitGetLeaseResponse(w http.ResponseWriter) error {
	return writeLease(w, http.StatusOK, &a.lease)
}

// grantedLease is a new lease. It undoes the lease when it cannot be delivered: nobody would
// know the token, and the job would wait for the heartbeat timeout.
//
// A write that succeeds has reached the kernel and not the client, so a client that vanishes
// in that very moment does cost the job that wait. The context is looked at before the write
// only: a client may hang up as soon as it has read the answer, and holds the lease then.
type grantedLease struct {
	api   *API
	ctx   context.Context // of the request: ends when the client goes away
	lease queue.Lease
}

// VisitDequeueResponse writes the answer, or undoes the lease.
func (a grantedLease) VisitDequeueResponse(w http.ResponseWriter) error { return a.write(w) }

// VisitDequeueJobResponse writes the answer, or undoes the lease.
func (a grantedLease) VisitDequeueJobResponse(w http.ResponseWriter) error { return a.write(w) }

func (a grantedLease) write(w http.ResponseWriter) error {
	if a.ctx.Err() != nil {
		a.undo(w)
		return errGone
	}
	w.Header().Set("Location", "/v1/leases/"+a.lease.Token.String())
	lease := leaseView(a.lease, a.api.options.HeartbeatTimeout)
	err := writeLease(w, http.StatusCreated, &lease)
	if err == nil {
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(a.ctx), releaseTimeout)
	defer cancel()
	log := a.api.log.WithFields(logrus.Fields{
		"request_id": w.Header().Get(headerRequestID),
		"job_id":     a.lease.JobID.String(),
	})
	if _, err := a.api.queue.Release(ctx, a.lease.Token); err != nil {
		log.WithError(err).Error("client is gone, and its lease could not be released")
		return
	}
	log.Info("client is gone; its lease was released")
}

// encodedSize is the room, in bytes, for what is around the opaque values of most answers.
const encodedSize = 512

func writeLease(w http.ResponseWriter, status int, lease *oapi.Lease) error {
	return writeJSON(w, status, appendLease(make([]byte, 0, encodedSize+len(lease.Args)), lease))
}

// writeJSON writes one answer that is JSON. The newline is for people with a shell.
func writeJSON(w http.ResponseWriter, status int, body []byte) error {
	return write(w, status, "application/json", append(body, '\n'))
}

// write writes one whole answer.
func write(w http.ResponseWriter, status int, contentType string, body []byte) error {
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(body))) // else a flush makes the answer chunked
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
