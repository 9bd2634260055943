package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// ListQueues answers GET /v1/queues.
func (a *API) ListQueues(ctx context.Context, request oapi.ListQueuesRequestObject) (oapi.ListQueuesResponseObject, error) {
	listing := queue.LaneListing{Limit: limitOf(request.Params.Limit)}
	var err error
	if request.Params.Type != nil {
		if listing.Types, err = namesOf("type", *request.Params.Type); err != nil {
			return nil, err
		}
	}
	if request.Params.Channel != nil {
		if listing.Channels, err = namesOf("channel", *request.Params.Channel); err != nil {
			return nil, err
		}
	}
	of := queuesDigest(listing.Types, listing.Channels)
	if request.Params.Cursor != nil {
		words, err := nameCursorOf(*request.Params.Cursor, of, 2)
		if err != nil {
			return nil, err
		}
		listing.After = queue.Lane{Channel: words[0], Type: words[1]}
	}
	page, err := a.queue.Queues(ctx, listing)
	if err != nil {
		return nil, err
	}
	answer := queuesAnswer{api: a, page: page}
	if answer.quotas, err = a.quotas(ctx, page.Queues); err != nil {
		return nil, err
	}
	if page.More {
		last := page.Queues[len(page.Queues)-1].Lane
		answer.next = nameCursor(of, last.Channel, last.Type)
	}
	return answer, nil
}

// quotas are those of the channels of a page; nil if there are none.
func (a *API) quotas(ctx context.Context, lanes []queue.LaneInfo) (*[]oapi.ChannelQuota, error) {
	if a.bounds.quota == nil {
		return nil, nil //nolint:nilnil // there are none
	}
	var channels []string // which go in order
	for i := range lanes {
		if channel := lanes[i].Lane.Channel; len(channels) == 0 || channels[len(channels)-1] != channel {
			channels = append(channels, channel)
		}
	}
	used, err := a.queue.OpenJobs(ctx, channels)
	if err != nil {
		return nil, err
	}
	quotas := make([]oapi.ChannelQuota, len(channels))
	for i, channel := range channels {
		quotas[i] = quotaView(channel, a.bounds.quota.Limit(), used[channel])
	}
	return &quotas, nil
}

// quotaView is a quota as clients see it: of what is bounded only, and known.
func quotaView(channel string, most, used queue.Amount) oapi.ChannelQuota {
	view := oapi.ChannelQuota{Channel: channel}
	if most.Jobs > 0 {
		view.JobsLimit, view.JobsUsed = &most.Jobs, &used.Jobs
	}
	if most.Bytes > 0 {
		view.BytesLimit = &most.Bytes
		if used.Bytes != queue.UnknownBytes {
			view.BytesUsed = &used.Bytes
		}
	}
	return view
}

// queuesDigest tells lists apart, in whatever order the names are written, none of which has a
// space or a comma.
func queuesDigest(types, channels []string) string {
	sorted := func(names []string) string { return strings.Join(slices.Sorted(slices.Values(names)), ",") }
	return sorted(types) + " " + sorted(channels)
}

// queuesAnswer is a page of lanes.
type queuesAnswer struct {
	api  *API
	page queue.LanePage
	next string // "" if it is the last page
	// quotas are nil if there are none.
	quotas *[]oapi.ChannelQuota
}

// VisitListQueuesResponse writes the answer.
func (a queuesAnswer) VisitListQueuesResponse(w http.ResponseWriter) error {
	return a.api.writeJSON(w, http.StatusOK, appendQueues(nil, &a.page, a.quotas, a.next))
}

// ListWorkers answers GET /v1/workers.
func (a *API) ListWorkers(ctx context.Context, request oapi.ListWorkersRequestObject) (oapi.ListWorkersResponseObject, error) {
	listing := queue.WorkerListing{Limit: limitOf(request.Params.Limit)}
	if request.Params.Cursor != nil {
		words, err := nameCursorOf(*request.Params.Cursor, listOfWorkers, 1)
		if err != nil {
			return nil, err
		}
		listing.After = &words[0]
	}
	page, err := a.queue.Workers(ctx, listing)
	if err != nil {
		return nil, err
	}
	list := oapi.WorkerList{Workers: make([]oapi.WorkerInfo, len(page.Workers))}
	for i := range page.Workers {
		list.Workers[i] = workerView(&page.Workers[i])
	}
	if page.More {
		next := nameCursor(listOfWorkers, page.Workers[len(page.Workers)-1].Name)
		list.NextCursor = &next
	}
	return workersAnswer{api: a, list: list}, nil
}

// workerView is a worker as clients see it.
func workerView(worker *queue.Worker) oapi.WorkerInfo {
	view := oapi.WorkerInfo{
		Worker:       worker.Name,
		FirstAskedAt: timeView(worker.First),
		LastAskedAt:  timeView(worker.Last),
		Waiting:      worker.Waiting,
		Labels:       labelsView(worker.Labels),
		Held:         worker.HeldAll,
		Leases:       make([]oapi.HeldLease, len(worker.Held)),
	}
	if len(worker.Types) > 0 {
		view.Types, view.Channels = &worker.Types, &worker.Channels
	}
	for i, held := range worker.Held {
		view.Leases[i] = oapi.HeldLease{
			Id: held.JobID, Type: held.Lane.Type, Channel: held.Lane.Channel, Attempt: int64(held.Attempt),
			Principal: textView(held.Principal), StartedAt: held.Started.UTC(),
		}
	}
	return view
}

// workersAnswer is a page of workers.
type workersAnswer struct {
	api  *API
	list oapi.WorkerList
}

// VisitListWorkersResponse writes the answer.
func (a workersAnswer) VisitListWorkersResponse(w http.ResponseWriter) error {
	text, err := json.Marshal(a.list)
	if err != nil {
		return fmt.Errorf("write the workers: %w", err)
	}
	return a.api.writeJSON(w, http.StatusOK, text)
}

// GetDemand answers GET /v1/demand.
func (a *API) GetDemand(ctx context.Context, request oapi.GetDemandRequestObject) (oapi.GetDemandResponseObject, error) {
	var (
		demand queue.Demand
		err    error
	)
	if demand.Types, err = namesOf("types", request.Params.Types); err != nil {
		return nil, err
	}
	if request.Params.Channels != nil {
		if demand.Channels, err = namesOf("channels", *request.Params.Channels); err != nil {
			return nil, err
		}
	}
	if request.Params.Labels != nil {
		labels, err := namesOf("labels", *request.Params.Labels)
		if err != nil {
			return nil, err
		}
		demand.Labels = labelsOf(labels)
	}
	answer, err := a.queue.Demand(ctx, demand)
	if err != nil {
		return nil, err
	}
	return oapi.GetDemand200JSONResponse{Ready: answer.Ready, Exact: answer.Exact}, nil
}

func limitOf(given *int) int {
	if given == nil {
		return defaultPage
	}
	return *given
}

// nameCursorVersion is the first byte of a cursor of lists that go by names.
const nameCursorVersion = 3

// Lists that go by names, as their cursors call them. What queuesDigest returns is none of these: it has a space.
const (
	listOfWorkers = "workers"
	listOfKeys    = "keys"
)

// nameCursor is a cursor of a list, and of words, none of which has the control character that parts them.
func nameCursor(of string, words ...string) string {
	text := append([]byte{nameCursorVersion}, of...)
	for _, word := range words {
		text = append(append(text, '\n'), word...)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// nameCursorOf is the inverse of nameCursor. The words are text as names are, whoever wrote the cursor: a
// database takes nothing else.
func nameCursorOf(cursor, of string, n int) (words []string, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) == 0 || b[0] != nameCursorVersion {
		return nil, invalid("cursor", "is no next_cursor of this server")
	}
	words = strings.Split(string(b[1:]), "\n")
	for _, word := range words {
		if !utf8.ValidString(word) || strings.ContainsFunc(word, unicode.IsControl) {
			return nil, invalid("cursor", "is no next_cursor of this server")
		}
	}
	if words[0] != of || len(words) != 1+n {
		return nil, invalid("cursor", "is of another list; only limit may change from page to page")
	}
	return words[1:], nil
}
