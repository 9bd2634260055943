package api

import (
	"context"
	"time"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// backupName is the form of the name of a backup that is given none.
const backupName = "20060102T150405.000000Z"

// CreateBackup answers POST /v1/admin/backup.
func (a *API) CreateBackup(ctx context.Context, request oapi.CreateBackupRequestObject) (oapi.CreateBackupResponseObject, error) {
	if a.options.Backup == nil {
		return nil, &requestError{code: codeBackupsDisabled}
	}
	name := time.Now().UTC().Format(backupName)
	if request.Body != nil && request.Body.Name != nil {
		name = *request.Body.Name
	}
	if err := queue.ValidateBackupName(name); err != nil {
		return nil, err
	}
	backup, err := a.options.Backup(ctx, name)
	if err != nil {
		return nil, err
	}
	return oapi.CreateBackup201JSONResponse{Name: backup.Name, Bytes: backup.Bytes}, nil
}
