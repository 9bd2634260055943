package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// errOtherAnswer: the answer does not fit the request, item by item.
var errOtherAnswer = errors.New("the answer is not to what was sent")

// dequeueMany sends an ask: it makes the reports that the ask brings, and leases jobs. With an
// answer that is too long there are an error and the leases that came before its end.
func (c calls) dequeueMany(ctx context.Context, request DequeueRequest, ask *ask) (answer DequeueBatchAnswer, err error) {
	defer func() { c.reach.note(err) }()
	ctx, cancel := context.WithTimeout(ctx, ask.wait+c.timeout)
	defer cancel()
	body := bytes.NewReader(ask.body(request))
	resp, err := c.api.DequeueBatchWithBody(ctx, &DequeueBatchParams{IdempotencyKey: &ask.key}, jsonType, body)
	read, err := decode[DequeueBatchAnswer](resp, err, http.StatusOK)
	var cut *cutError
	if errors.Is(err, ErrAnswerTooLong) && errors.As(err, &cut) {
		return DequeueBatchAnswer{Leases: leasesIn(cut.begin)}, err
	}
	if err != nil {
		return answer, err
	}
	if len(read.Finished) != len(ask.endings) {
		return answer, errOtherAnswer
	}
	for i, e := range ask.endings {
		if read.Finished[i].Token != e.token {
			return answer, errOtherAnswer
		}
	}
	for i := range read.Leases {
		if read.Leases[i].Token == uuid.Nil {
			return answer, errors.New("the answer has something that is no lease")
		}
	}
	return *read, nil
}

// body returns an ask's body, the same each time. What runs report is spliced, not marshaled,
// as their handlers wrote it.
func (a *ask) body(request DequeueRequest) []byte {
	seconds := a.wait.Seconds()
	body := mustMarshal(DequeueBatchRequest{
		Types: request.Types, Channels: request.Channels, Worker: request.Worker, Max: a.most, WaitSeconds: &seconds,
	})
	if len(a.endings) == 0 {
		return body
	}
	body = append(body[:len(body)-1], `,"finish":[`...)
	for i, e := range a.endings {
		body = appendItem(body, i, e.token, e.report.body)
	}
	return append(body, "]}"...)
}

// appendItem adds the i-th of a list of what is sent under leases: fields are the body that it
// has when it is sent alone.
func appendItem(body []byte, i int, token Token, fields []byte) []byte {
	if i > 0 {
		body = append(body, ',')
	}
	body = fmt.Appendf(body, `{"token":"%s"`, token)
	if len(fields) > len("{}") {
		body = append(body, ',')
	}
	return append(body, fields[1:]...)
}

// leasesIn returns the whole leases at the beginning of an answer, if it begins as it should.
func leasesIn(begin []byte) (leases []Lease) {
	_, list, found := bytes.Cut(begin, []byte(`"leases":`))
	decoder := json.NewDecoder(bytes.NewReader(list))
	if _, err := decoder.Token(); !found || err != nil {
		return nil
	}
	for {
		var lease Lease
		if decoder.Decode(&lease) != nil || lease.Token == uuid.Nil {
			return leases
		}
		leases = append(leases, lease)
	}
}

// heartbeatMany refreshes leases, and tells the news. It takes no longer than limit.
func (c calls) heartbeatMany(ctx context.Context, pulses []*pulse, limit time.Duration) (answer HeartbeatsAnswer, err error) {
	defer func() { c.reach.note(err) }()
	ctx, cancel := context.WithTimeout(ctx, min(limit, c.timeout))
	defer cancel()
	body := []byte(`{"heartbeats":[`)
	for i, p := range pulses {
		body = appendItem(body, i, p.token, p.body)
	}
	resp, err := c.api.HeartbeatsWithBody(ctx, jsonType, bytes.NewReader(append(body, "]}"...)))
	read, err := decode[HeartbeatsAnswer](resp, err, http.StatusOK)
	if err != nil {
		return answer, err
	}
	if len(read.Heartbeats) != len(pulses) {
		return answer, errOtherAnswer
	}
	for i, p := range pulses {
		if read.Heartbeats[i].Token != p.token {
			return answer, errOtherAnswer
		}
	}
	return *read, nil
}
