package api

import (
	"strconv"

	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// appendAttempts appends all leases that a job has had as JSON.
func appendAttempts(b []byte, attempts []oapi.Attempt) []byte {
	b = append(b, `{"attempts":[`...)
	for i := range attempts {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendAttempt(b, &attempts[i])
	}
	return append(b, "]}"...)
}

func appendAttempt(b []byte, attempt *oapi.Attempt) []byte {
	b = appendInt(b, `{"attempt":`, attempt.Attempt)
	b = appendTextMember(b, `,"end":`, (*string)(attempt.End))
	b = appendTimeMember(b, `,"ended_at":`, attempt.EndedAt)
	b = appendError(b, attempt.Error)
	b = appendTextMember(b, `,"principal":`, attempt.Principal)
	b = appendTime(append(b, `,"started_at":`...), attempt.StartedAt)
	b = appendTextMember(b, `,"state":`, (*string)(attempt.State))
	b = appendTextMember(b, `,"worker":`, attempt.Worker)
	return append(b, '}')
}

// appendExplanation appends an explanation as JSON.
func appendExplanation(b []byte, e *oapi.Explanation) []byte {
	b = appendID(append(b, `{"id":`...), e.Id)
	b = appendSmallMember(b, `,"ahead":`, e.Ahead)
	b = appendTimeMember(b, `,"expires_at":`, e.ExpiresAt)
	if e.LastAttempt != nil {
		b = appendAttempt(append(b, `,"last_attempt":`...), e.LastAttempt)
	}
	b = appendTimeMember(b, `,"last_heartbeat_at":`, e.LastHeartbeatAt)
	b = appendSmallMember(b, `,"open":`, e.Open)
	if e.OpenDependencies != nil {
		b = appendIDs(append(b, `,"open_dependencies":`...), *e.OpenDependencies)
	}
	b = appendText(append(b, `,"reason":`...), string(e.Reason))
	b = appendText(append(b, `,"sentence":`...), e.Sentence)
	b = appendText(append(b, `,"state":`...), string(e.State))
	b = appendTimeMember(b, `,"waits_until":`, e.WaitsUntil)
	b = appendTextMember(b, `,"worker":`, e.Worker)
	if w := e.Workers; w != nil {
		b = appendInt(append(b, `,"workers":{`...), `"asked":`, int64(w.Asked))
		b = appendTimeMember(b, `,"last_asked_at":`, w.LastAskedAt)
		b = append(appendInt(b, `,"waiting":`, int64(w.Waiting)), '}')
	}
	return append(b, '}')
}

func appendSmallMember(b []byte, name string, n *int) []byte {
	if n == nil {
		return b
	}
	return appendInt(b, name, int64(*n))
}

// appendQueues appends a page of lanes as JSON: there may be many, and dashboards ask often.
func appendQueues(b []byte, page *queue.LanePage, quotas *[]oapi.ChannelQuota, next string) []byte {
	b = append(b, `{"queues":[`...)
	for i := range page.Queues {
		if i > 0 {
			b = append(b, ',')
		}
		q := &page.Queues[i]
		b = append(b, '{')
		if q.Bytes != queue.UnknownBytes {
			b = append(appendInt(b, `"bytes":`, q.Bytes), ',')
		}
		b = appendText(append(b, `"channel":`...), q.Lane.Channel)
		b = appendCounts(append(b, `,"counts":`...), &q.Counts)
		b = appendRates(append(b, `,"enqueued_per_second":`...), q.Enqueued)
		b = appendRates(append(b, `,"failed_per_second":`...), q.Failed)
		b = appendRates(append(b, `,"finished_per_second":`...), q.Finished)
		b = appendNumberMember(b, `,"oldest_ready_seconds":`, agoView(page.Now, q.OldestReady))
		b = appendRates(append(b, `,"started_per_second":`...), q.Started)
		b = append(appendText(append(b, `,"type":`...), q.Lane.Type), '}')
	}
	b = append(b, ']')
	if next != "" {
		b = appendText(append(b, `,"next_cursor":`...), next)
	}
	if quotas != nil {
		b = appendQuotas(append(b, `,"quotas":`...), *quotas)
	}
	return append(appendCounts(append(b, `,"total":`...), &page.Total), '}')
}

func appendQuotas(b []byte, quotas []oapi.ChannelQuota) []byte {
	b = append(b, '[')
	for i := range quotas {
		if i > 0 {
			b = append(b, ',')
		}
		q := &quotas[i]
		b = append(b, '{')
		for _, member := range []struct {
			name string
			n    *int64
		}{{`"bytes_limit":`, q.BytesLimit}, {`"bytes_used":`, q.BytesUsed}} {
			if member.n != nil {
				b = append(appendInt(b, member.name, *member.n), ',')
			}
		}
		b = appendText(append(b, `"channel":`...), q.Channel)
		if q.JobsLimit != nil {
			b = appendInt(b, `,"jobs_limit":`, *q.JobsLimit)
			b = appendInt(b, `,"jobs_used":`, *q.JobsUsed)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendCounts(b []byte, counts *queue.Counts) []byte {
	for i, state := range queue.States() {
		b = append(b, "{,"[min(i, 1)], '"')
		b = append(append(b, state.String()...), '"', ':')
		b = strconv.AppendInt(b, counts[state], 10)
	}
	return append(b, '}')
}

// appendRates appends rates to a thousandth of a job a second.
func appendRates(b []byte, rates queue.Rates) []byte {
	b = appendRate(append(b, `{"m1":`...), rates.One)
	b = appendRate(append(b, `,"m15":`...), rates.Fifteen)
	return append(appendRate(append(b, `,"m5":`...), rates.Five), '}')
}

func appendRate(b []byte, rate float64) []byte { return strconv.AppendFloat(b, rate, 'f', 3, 64) }
