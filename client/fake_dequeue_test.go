package client_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/longshore-queue/longshore/client"
)

func manyIn(req *http.Request) bool {
	return req.URL.Path == "/v1/dequeue/batch" || req.URL.Path == "/v1/leases/heartbeat"
}

// dequeue serves both requests for jobs.
func (s *fakeServer) dequeue(w http.ResponseWriter, req *http.Request, body string) {
	many := manyIn(req)
	var request client.DequeueBatchRequest
	unpack(body, &request)
	if !many {
		request.Max = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := req.Header.Get("Idempotency-Key")
	if s.asking[key] {
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusConflict, client.CodeIdempotencyKeyInUse)
		return
	}
	if asked, found := s.asked[key]; found && asked != body {
		refuse(w, http.StatusUnprocessableEntity, client.CodeIdempotencyKeyReused)
		return
	}
	s.asked[key] = body
	s.asking[key] = true
	defer delete(s.asking, key)
	if *request.WaitSeconds > 0 {
		s.polls++
		s.most = max(s.most, s.polls)
		defer func() { s.polls-- }()
	}
	answered := client.DequeueBatchAnswer{Finished: s.finishAll(body), Leases: []client.Lease{}}
	end := time.After(time.Duration(*request.WaitSeconds * float64(time.Second)))
	for {
		leases, over := s.leases(key, request)
		if over {
			refuse(w, http.StatusConflict, client.CodeLeaseLost)
			return
		}
		if len(leases) > 0 && !many {
			w.Header().Set("Location", "/v1/leases/"+leases[0].Token.String())
			answer(w, http.StatusCreated, leases[0])
			return
		}
		if len(leases) > 0 || *request.WaitSeconds == 0 {
			answered.Leases = append(answered.Leases, leases...)
			answer(w, http.StatusOK, answered)
			return
		}
		ready := s.ready
		s.mu.Unlock()
		ended := false
		select {
		case <-ready:
		case <-end:
			ended = true
		case <-req.Context().Done():
			ended = true
		}
		s.mu.Lock()
		if ended && many {
			answer(w, http.StatusOK, answered)
			return
		}
		if ended {
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
}

// leases returns what the key was granted and is still held, or grants it what is ready. over
// tells that all it was granted is over.
func (s *fakeServer) leases(key string, request client.DequeueBatchRequest) (leases []client.Lease, over bool) {
	for _, j := range s.jobs {
		if j.key != key {
			continue
		}
		if j.lost || j.report != "" {
			over = true
			continue
		}
		leases = append(leases, j.lease)
	}
	if len(leases) > 0 || over {
		return leases, len(leases) == 0
	}
	for _, j := range s.jobs {
		if len(leases) == request.Max {
			break
		}
		if j.state == client.Pending && contains(request.Types, j.lease.Type) {
			s.grant(j)
			j.key = key
			leases = append(leases, j.lease)
		}
	}
	return leases, false
}

// items returns what is sent under many leases as it would be sent alone.
func items(list []json.RawMessage) (tokens, bodies []string) {
	for _, raw := range list {
		var item struct{ Token string }
		unpack(string(raw), &item)
		text := strings.Replace(string(raw), `"token":"`+item.Token+`"`, "", 1)
		bodies = append(bodies, strings.Replace(text, "{,", "{", 1))
		tokens = append(tokens, item.Token)
	}
	return tokens, bodies
}

// one serves one of many under its lease, which counts as a request of its own.
func (s *fakeServer) one(token, op, body string) (code *string, answered string) {
	s.counts[op]++
	s.calls = append(s.calls, call{op: op, many: true, at: time.Now(), body: body})
	recorder := httptest.NewRecorder()
	f := fault{}
	if s.faults != nil {
		f = s.faults(op, s.counts[op])
	}
	if f.status != 0 && f.code != "" {
		refuse(recorder, f.status, f.code)
	} else {
		s.underToken(recorder, token, op, body)
	}
	answered = recorder.Body.String()
	if recorder.Code != http.StatusOK {
		var problem client.Problem
		unpack(answered, &problem)
		return &problem.Code, answered
	}
	return nil, answered
}

func (s *fakeServer) finishAll(body string) []client.LeaseReported {
	var request struct{ Finish []json.RawMessage }
	unpack(body, &request)
	tokens, bodies := items(request.Finish)
	finished := make([]client.LeaseReported, len(tokens))
	for i := range tokens {
		op := "finish"
		if strings.HasPrefix(bodies[i], `{"error"`) {
			op = "fail"
		}
		unpack(`{"token":"`+tokens[i]+`"}`, &finished[i])
		var answered string
		if finished[i].Code, answered = s.one(tokens[i], op, bodies[i]); finished[i].Code == nil {
			unpack(answered, &finished[i])
		}
	}
	return finished
}

func (s *fakeServer) heartbeats(w http.ResponseWriter, body string) {
	var request struct{ Heartbeats []json.RawMessage }
	unpack(body, &request)
	tokens, bodies := items(request.Heartbeats)
	beats := make([]client.LeaseHeartbeatAnswer, len(tokens))
	for i := range tokens {
		unpack(`{"token":"`+tokens[i]+`"}`, &beats[i])
		var answered string
		if beats[i].Code, answered = s.one(tokens[i], "heartbeat", bodies[i]); beats[i].Code == nil {
			unpack(answered, &beats[i])
		}
	}
	answer(w, http.StatusOK, client.HeartbeatsAnswer{Heartbeats: beats})
}
