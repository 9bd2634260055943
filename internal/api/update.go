package api

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// UpdateJob answers PATCH /v1/jobs/{id}.
func (a *API) UpdateJob(ctx context.Context, request oapi.UpdateJobRequestObject) (oapi.UpdateJobResponseObject, error) {
	change, err := update(*request.Body)
	if err != nil {
		return nil, err
	}
	tags := termsOf(ctx).tags()
	if *request.Body == (oapi.JobUpdate{}) {
		// To the queue this would be a change like any other, and make a new version.
		return a.lookAtWaiting(ctx, request.Id, tags)
	}
	if err := a.update(ctx, request.Id, change, tags); err != nil {
		return nil, err
	}
	deedOf(ctx).one(request.Id, "")
	return a.look(ctx, request.Id)
}

// update changes the job if it has one of the tags.
func (a *API) update(ctx context.Context, id uuid.UUID, change queue.Update, tags *tags) error {
	switch {
	case tags == nil || tags.any:
		return a.queue.UpdateJob(ctx, id, change)
	case len(tags.versions) == 1:
		change.IfVersion = &tags.versions[0]
		return a.queue.UpdateJob(ctx, id, change)
	}
	for {
		status, err := a.queue.JobStatus(ctx, id)
		if err != nil {
			return err
		}
		if !tags.match(status.Version) {
			return queue.ErrChanged
		}
		change.IfVersion = &status.Version
		// It may have moved on in between, to another version of the list: these are finite,
		// and versions grow.
		if err := a.queue.UpdateJob(ctx, id, change); !errors.Is(err, queue.ErrChanged) {
			return err
		}
	}
}

// lookAtWaiting answers an update of nothing: as any other one, but that nothing is changed.
func (a *API) lookAtWaiting(ctx context.Context, id uuid.UUID, tags *tags) (*jobAnswer, error) {
	status, err := a.queue.JobStatus(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case !tags.match(status.Version):
		return nil, queue.ErrChanged
	case !status.State.Waiting():
		return nil, queue.ErrNotPending
	default:
		return a.jobOf(ctx, &status)
	}
}
