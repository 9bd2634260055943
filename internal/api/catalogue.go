package api

import "net/http"

// The stable codes of problem documents.
const (
	codeAlreadyReported      = "already-reported"
	codeBackupExists         = "backup-exists"
	codeBackupUnderWay       = "backup-under-way"
	codeBackupsDisabled      = "backups-disabled"
	codeBodyTooLarge         = "body-too-large"
	codeChannelForbidden     = "channel-forbidden"
	codeDependencyNotFound   = "dependency-not-found"
	codeDependencyFailed     = "dependency-not-succeeded"
	codeErrorNotFound        = "error-not-found"
	codeHostForbidden        = "host-forbidden"
	codeKeyInUse             = "idempotency-key-in-use"
	codeKeyReused            = "idempotency-key-reused"
	codeInternal             = "internal"
	codeInvalidJSON          = "invalid-json"
	codeInvalidRequest       = "invalid-request"
	codeJobCanceled          = "job-canceled"
	codeJobChanged           = "job-changed"
	codeJobDeleted           = "job-deleted"
	codeJobNotFailed         = "job-not-failed"
	codeJobNotFound          = "job-not-found"
	codeJobNotOver           = "job-not-over"
	codeJobNotPending        = "job-not-pending"
	codeJobNotRunning        = "job-not-running"
	codeLeaseLost            = "lease-lost"
	codeLeaseNotFound        = "lease-not-found"
	codeKeyExists            = "key-exists"
	codeKeyNameTaken         = "key-name-taken"
	codeKeyNotFound          = "key-not-found"
	codeTooManyKeys          = "too-many-keys"
	codeMethodNotAllowed     = "method-not-allowed"
	codeOriginForbidden      = "origin-forbidden"
	codeOverloaded           = "overloaded"
	codeQuotaExceeded        = "quota-exceeded"
	codeRateLimited          = "rate-limited"
	codeRequestTimeout       = "request-timeout"
	codeRouteNotFound        = "route-not-found"
	codeScopeMissing         = "scope-missing"
	codeTooManyWaiting       = "too-many-waiting"
	codeUnauthenticated      = "unauthenticated"
	codeUnavailable          = "unavailable"
	codeUniqueKeyTaken       = "unique-key-taken"
	codeUnsupportedMediaType = "unsupported-media-type"
	codeValueTooLarge        = "value-too-large"
)

// kind is a kind of problem: what all errors of one code have in common.
type kind struct {
	code        string
	status      int
	title       string
	description string // for the catalogue: what happened and what to do
	detail      string // of an error that knows nothing more particular
}

// kinds is the catalogue, ordered by code. What is not in it cannot be answered.
func kinds() []kind {
	return []kind{
		{
			codeAlreadyReported, http.StatusConflict, "The lease was reported on before",
			"The worker reported another outcome under this token before, and that one was kept. The same report again gets the same answer.",
			"another outcome was reported under this token before; that one was kept",
		}, {
			codeBackupExists, http.StatusConflict, "There is a backup of that name",
			"Something in the server's --backup-dir already has that name. It was left as it is. Choose another name, or give none.",
			"there is a backup of that name; choose another one",
		}, {
			codeBackupUnderWay, http.StatusConflict, "Another backup is being made",
			"The server makes one backup at a time. Try again when that one is done.",
			"another backup is being made; try again when it is done",
		}, {
			codeBackupsDisabled, http.StatusForbidden, "The server makes no backups",
			"The server was started without --backup-dir, the directory for backups. Nothing was done.",
			"the server was started without --backup-dir",
		}, {
			codeBodyTooLarge, http.StatusRequestEntityTooLarge, "The body is too large",
			"The body is longer than the server's --max-body-bytes, or --max-batch-bytes for a batch. Keep large data elsewhere and send a reference to it, or create fewer jobs in one call.",
			"the body is longer than this server accepts",
		}, {
			codeChannelForbidden, http.StatusForbidden, "The channel is not the credential's",
			"The request names a channel that its credential is not for, whether or not there is such a channel, or is about the whole server and its credential is not for every channel. Nothing was changed. Name another channel, or use another credential.",
			"the credential is not for this channel",
		}, {
			codeDependencyNotFound, http.StatusUnprocessableEntity, "A dependency does not exist",
			"The job depends on an id that no job has; the field says which. Nothing was created. Create dependencies first.",
			"a dependency does not exist; nothing was created",
		}, {
			codeDependencyFailed, http.StatusConflict, "A dependency has not succeeded",
			"The job cannot be retried, because a dependency that it needs has failed or was canceled, and would fail or cancel it again. Nothing was done. Retry that one first: it brings back the jobs that failed because of it.",
			"a dependency of the job failed or was canceled; retry that one first",
		}, {
			codeErrorNotFound, http.StatusNotFound, "There is no such error code",
			"No error has this code. GET /v1/errors lists them all.",
			"no error has this code; /v1/errors lists them all",
		}, {
			codeHostForbidden, http.StatusForbidden, "The request is for another host",
			"The server asks nobody who they are, because only its own machine reaches it, and takes requests for no other host: the name of a page in a browser may lead to any address. Nothing was done. Call it by a loopback address or as localhost, start it with --allowed-host for the name that it is called by, or turn on --auth.",
			"without --auth this server is called by a loopback address, as localhost, or by an --allowed-host; nothing was done",
		}, {
			codeKeyInUse, http.StatusConflict, "The same call is under way",
			"Another call with this Idempotency-Key has not been answered yet, and its outcome is not known. Send the call again, with the same key, after the time in Retry-After.",
			"another call with this Idempotency-Key has not been answered yet; try again after the time in Retry-After",
		}, {
			codeKeyReused, http.StatusUnprocessableEntity, "The idempotency key was used for another call",
			"A call with this Idempotency-Key, to this path, had another body. Nothing was done. A key is for one intended call; take a new one for each, and the same one only to repeat it.",
			"this Idempotency-Key was used for a call with another body; nothing was done; take a new key for a new call",
		}, {
			codeInternal, http.StatusInternalServerError, "The server failed",
			"Something went wrong that is not the client's fault. The server's log has the cause under the request id. Whether the change was made is not known.",
			"the server failed; its log has the cause under this request id",
		}, {
			codeInvalidJSON, http.StatusBadRequest, "The body is not valid JSON",
			"The body is not one JSON value in UTF-8, or it is nested more than 64 deep. Nothing was changed.",
			"the body is not valid JSON",
		}, {
			codeInvalidRequest, http.StatusBadRequest, "The request is not valid",
			"A field of the body, or a parameter of the path or the query, is missing, unknown, of the wrong type, or outside its limits; the field says which. Nothing was changed.",
			"the request is not valid",
		}, {
			codeJobCanceled, http.StatusConflict, "The job was canceled",
			"The job was canceled while the worker had it, so its report was not kept. Stop working on it.",
			"the job was canceled; the report was not kept",
		}, {
			codeJobChanged, http.StatusPreconditionFailed, "The job has changed",
			"The job does not have the ETag that If-Match asks for: it was changed, it ran, or its worker reported progress. Nothing was done. Look at the job again, and decide again.",
			"the job does not have the ETag that If-Match asks for; nothing was done",
		}, {
			codeJobDeleted, http.StatusConflict, "The job was deleted",
			"The first call with the same Idempotency-Key created a job that was deleted since, by a client or because it was over for longer than the server's --retention. Nothing was created. Use another key to create it again.",
			"a job that the first call with this Idempotency-Key created was deleted since; use another key to create it again",
		}, {
			codeJobNotFailed, http.StatusConflict, "The job has not failed",
			"Only a job that failed or was canceled can be retried, and this one waits, runs or is finished. GET /v1/jobs/{id} says which. A job whose retry is under way cannot be retried either.",
			"the job has not failed and was not canceled",
		}, {
			codeJobNotFound, http.StatusNotFound, "There is no such job",
			"No job has this id, or its job was deleted.",
			"no job has this id",
		}, {
			codeJobNotOver, http.StatusConflict, "The job is not over",
			"Only a job that finished, failed or was canceled can be deleted. Cancel it first.",
			"the job is not over; cancel it first",
		}, {
			codeJobNotPending, http.StatusConflict, "The job is not pending",
			"Only a pending job can be leased, and only a scheduled, blocked or pending one can be changed. GET /v1/jobs/{id} says what this one is.",
			"the job is not pending",
		}, {
			codeJobNotRunning, http.StatusConflict, "The job is over",
			"The job finished or failed already, and was left as it is.",
			"the job finished or failed already",
		}, {
			codeKeyExists, http.StatusConflict, "The API key was made already",
			"A call with this Idempotency-Key has made an API key. Its secret was in the answer to that call and is not kept, so this call cannot get the same answer; the detail names the key's id. If that answer was lost, revoke the key, and make another one under another Idempotency-Key.",
			"a call with this Idempotency-Key has made a key already",
		}, {
			codeKeyNameTaken, http.StatusConflict, "The name of the API key is taken",
			"There are two valid API keys of this name already, or one for other channels: keys of one name stand for one principal. Nothing was made. Revoke one, or choose another name.",
			"keys of this name are good already; revoke one of them, or choose another name",
		}, {
			codeKeyNotFound, http.StatusNotFound, "There is no such API key",
			"There is no API key with this id: it was never made, or was revoked already. GET /v1/admin/keys lists them.",
			"there is no API key with this id",
		}, {
			codeLeaseLost, http.StatusConflict, "The lease is over",
			"The lease was taken back because no heartbeat came in time, or it was released or reported on. Another worker may have the job. Stop working on it.",
			"the lease is over; stop working on its job",
		}, {
			codeLeaseNotFound, http.StatusNotFound, "There is no such lease",
			"No lease has this token. Either none ever had it, or its job was deleted.",
			"no lease has this token",
		}, {
			codeMethodNotAllowed, http.StatusMethodNotAllowed, "The method is not allowed",
			"The path exists, but not with this method. The header Allow lists the methods that it has.",
			"this path does not have this method; the header Allow lists those that it has",
		}, {
			codeOriginForbidden, http.StatusForbidden, "The request is of a page of another origin",
			"The server asks nobody who they are, because only its own machine reaches it, and a page of another origin in a browser of that machine wants something changed. Nothing was done. Turn on --auth if it is to be called from pages.",
			"without --auth this server takes nothing from pages of other origins; nothing was done",
		}, {
			codeOverloaded, http.StatusServiceUnavailable, "The server has too much to do",
			"The server is short of memory (--memory-limit), or too many calls wait (--max-waiting). It takes heartbeats and reports, hands out jobs that are ready, and refuses everything else that needs memory. Nothing was done. Try again after the time in Retry-After.",
			"the server has too much to do; nothing was done; try again after the time in Retry-After",
		}, {
			codeQuotaExceeded, http.StatusTooManyRequests, "The channel is full",
			"The channel would have more jobs that are not over than the server's --quota-jobs, or their args more bytes than its --quota-bytes. Nothing was created. Try again after the time in Retry-After, or when GET /v1/queues shows that there is room. A call that is repeated with its Idempotency-Key gets the answer of the first one.",
			"the channel would have too many jobs that are not over, or too large ones; nothing was created",
		}, {
			codeRateLimited, http.StatusTooManyRequests, "The credential calls too often",
			"The credential was used more often than its limit allows, which is the server's --rate-limit or the API key's own. Nothing was done. Try again after the time in Retry-After.",
			"this credential is used too often; nothing was done; try again after the time in Retry-After",
		}, {
			codeRequestTimeout, http.StatusRequestTimeout, "The body took too long",
			"The body did not arrive within the time that the server waits for one. Nothing was changed.",
			"the body did not arrive in time",
		}, {
			codeRouteNotFound, http.StatusNotFound, "There is no such path",
			"The server has nothing at this path. GET /openapi.json describes the paths that it has.",
			"there is nothing at this path; /openapi.json describes what there is",
		}, {
			codeScopeMissing, http.StatusForbidden, "The credential lacks a scope",
			"The credential is valid, but not for this call; the detail names the scope that it lacks. Nothing was changed. Use a credential with that scope.",
			"the credential lacks a scope",
		}, {
			codeTooManyKeys, http.StatusConflict, "There are too many API keys",
			"There are 10,000 API keys, which is the limit. Nothing was made. Revoke some that are not needed any more, such as expired ones.",
			"there are as many API keys as there may be; revoke some",
		}, {
			codeTooManyWaiting, http.StatusTooManyRequests, "Too many calls of the credential wait",
			"As many calls of this credential wait as its limit allows, which is the server's --max-waiting-per-credential or the API key's own. The call did not wait, and no job was leased. Try again after the time in Retry-After.",
			"as many calls of this credential wait as may; try again after the time in Retry-After",
		}, {
			codeUnauthenticated, http.StatusUnauthorized, "The request has no good credential",
			"The request has no credential, or one that is malformed, unknown, revoked, expired, or meant for somebody else: the server does not say which. Nothing was read or changed. Send a valid one, such as an API key in the header Authorization: Bearer.",
			"the request has no credential that is good here",
		}, {
			codeUnavailable, http.StatusServiceUnavailable, "The server cannot take requests now",
			"The server is shutting down, or its store has failed. Whether the change was made is not known. Try again after the time in Retry-After.",
			"the server cannot take requests now; try again after the time in Retry-After",
		}, {
			codeUniqueKeyTaken, http.StatusConflict, "Another job has the unique key",
			"The job cannot be retried as long as another job of its type and channel has its unique_key and is not over.",
			"another job that is not over has the job's unique_key",
		}, {
			codeUnsupportedMediaType, http.StatusUnsupportedMediaType, "The body is not declared as plain JSON",
			"A body must come with Content-Type: application/json, in UTF-8 and without Content-Encoding.",
			"the body must come with Content-Type: application/json, without Content-Encoding",
		}, {
			codeValueTooLarge, http.StatusRequestEntityTooLarge, "A value is too large",
			"The args of a job are longer than the server's --max-args-bytes, or a result, a partial result or the details of an error longer than its --max-result-bytes; the field says which. Nothing was changed. Keep large data elsewhere and send a reference to it.",
			"a value is longer than this server accepts",
		},
	}
}
