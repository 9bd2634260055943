package api

import (
	"context"
	"maps"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/sirupsen/logrus"

	"github.com/longshore-queue/longshore/internal/auth"
)

// deed is what a call has changed, for the log: see audited. Handlers note it; nil is of a call that
// nobody wants to know of, and has every method. It travels with the context of a request.
type deed struct {
	jobs    int           // how many were changed
	job     uuid.UUID     // the last of them
	channel string        // of that one; "" if it is not known
	key     logrus.Fields // the API key that was made or revoked; nil if none was
}

type deedKey struct{}

func deedOf(ctx context.Context) *deed {
	d, _ := ctx.Value(deedKey{}).(*deed)
	return d
}

// one notes that a job was changed.
func (d *deed) one(id uuid.UUID, channel string) {
	if d != nil {
		d.jobs, d.job, d.channel = d.jobs+1, id, channel
	}
}

// many notes that some jobs were.
func (d *deed) many(jobs int) {
	if d != nil {
		d.jobs += jobs
	}
}

// apiKey notes which API key was made or revoked.
func (d *deed) apiKey(id, name string, scopes, channels []string) {
	if d != nil {
		d.key = logrus.Fields{"key": id, "name": name, "scopes": strings.Join(scopes, ","), "channels": strings.Join(channels, ",")}
	}
}

// audited tells whether the log is to name who has called an operation, and what it has changed: all
// that change jobs from outside or the server itself are, and so is what comes to the contract. What
// workers report is not: each job tells of its leases.
func (op *operation) audited(method string) bool {
	return method != http.MethodGet && op.needs.scopes&(auth.Enqueue|auth.Admin) != 0
}

// act calls the handler of an operation. Where it is known who calls, or API keys are changed, it has one
// line written of what was done, also where the client was not there any more to be answered, or where many jobs were to
// be changed and only some were. What is refused is in the access log.
func (a *API) act(next echo.HandlerFunc, c echo.Context, op *operation) error {
	r := c.Request()
	if auth.PrincipalOf(r.Context()) == nil && !op.keys || !op.audited(r.Method) || !a.log.IsLevelEnabled(logrus.InfoLevel) {
		return next(c)
	}
	d := &deed{}
	c.SetRequest(r.WithContext(context.WithValue(r.Context(), deedKey{}, d)))
	err := next(c)
	if err == nil || d.jobs > 0 {
		a.audit(c, op, d)
	}
	return err
}

// audit writes that line.
func (a *API) audit(c echo.Context, op *operation, d *deed) {
	r := c.Request()
	fields := logrus.Fields{
		"audit":      op.name,
		"request_id": c.Response().Header().Get(headerRequestID),
		"remote_ip":  remoteIP(r),
	}
	if p := auth.PrincipalOf(r.Context()); p != nil {
		fields["principal"] = p.Name
	}
	if !op.keys && !op.needs.everywhere {
		fields["jobs"] = d.jobs
	}
	maps.Copy(fields, d.key)
	if d.jobs == 1 && d.job != uuid.Nil {
		fields["job"] = d.job.String()
		if d.channel != "" {
			fields["channel"] = d.channel
		}
	}
	a.log.WithFields(fields).Info("audit")
}
