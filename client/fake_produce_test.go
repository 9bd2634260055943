package client_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/longshore-queue/longshore/client"
)

// pageSize is how many jobs a page of the fake server's list has, whatever was asked for.
const pageSize = 2

// produce is the producer's side: jobs are looked at without being held back.
func (s *fakeServer) produce(w http.ResponseWriter, req *http.Request, op, body string) {
	switch op {
	case "create", "batch":
		s.create(w, req.Header.Get("Idempotency-Key"), op, body)
		return
	case "list":
		s.list(w, req)
		return
	}
	for _, j := range s.jobs {
		if strings.Contains(req.URL.Path, j.lease.Id.String()) {
			w.Header().Set("ETag", `"7"`)
			answer(w, http.StatusOK, j.shown())
			return
		}
	}
	refuse(w, http.StatusNotFound, client.CodeJobNotFound)
}

func (j *fakeJob) shown() client.Job {
	return client.Job{Id: j.lease.Id, Type: j.lease.Type, State: j.state, Args: j.lease.Args}
}

// create adds jobs, once for each key. A unique key is that of the first job with it.
func (s *fakeServer) create(w http.ResponseWriter, key, op, body string) {
	w.Header().Set("ETag", `"1"`)
	if made, found := s.made[key]; found {
		asked, answered, _ := strings.Cut(made, "\n")
		if asked != body {
			refuse(w, http.StatusUnprocessableEntity, client.CodeIdempotencyKeyReused)
			return
		}
		answer(w, http.StatusCreated, json.RawMessage(answered))
		return
	}
	var request client.NewJobs
	if op == "create" {
		request.Jobs = make([]client.NewJob, 1)
		unpack(body, &request.Jobs[0])
	} else {
		unpack(body, &request)
	}
	status := http.StatusCreated
	var created client.CreatedJobs
	var job client.Job
	for _, n := range request.Jobs {
		j := s.unique(n)
		entry := client.CreatedJob{Name: n.Name}
		if j == nil {
			j = &fakeJob{state: client.Pending, lease: client.Lease{Id: uuid.New(), Type: n.Type, Args: n.Args}, unique: n.UniqueKey}
			s.jobs = append(s.jobs, j)
		} else {
			entry.Existing = new(true)
			status = http.StatusOK
		}
		entry.Id, entry.State = j.lease.Id, j.state
		created.Jobs = append(created.Jobs, entry)
		job = j.shown()
	}
	var answered any = job
	if op == "batch" {
		answered, status = created, http.StatusCreated
	}
	text, err := json.Marshal(answered)
	if err != nil {
		panic(err)
	}
	s.made[key] = body + "\n" + string(text)
	answer(w, status, json.RawMessage(text))
}

func (s *fakeServer) unique(n client.NewJob) *fakeJob {
	for _, j := range s.jobs {
		if n.UniqueKey != nil && j.unique != nil && *j.unique == *n.UniqueKey {
			return j
		}
	}
	return nil
}

// list pages by the index of the next job. Every second page is empty.
func (s *fakeServer) list(w http.ResponseWriter, req *http.Request) {
	at, empty := 0, false
	if cursor := req.URL.Query().Get("cursor"); cursor != "" {
		number, rest, _ := strings.Cut(cursor, "-")
		var err error
		if at, err = strconv.Atoi(number); err != nil {
			panic(err)
		}
		empty = rest == "empty"
	}
	var page struct {
		Jobs       []client.Job `json:"jobs"`
		NextCursor *string      `json:"next_cursor,omitempty"`
	}
	page.Jobs = []client.Job{}
	if empty {
		page.NextCursor = new(strconv.Itoa(at))
		answer(w, http.StatusOK, page)
		return
	}
	for ; at < len(s.jobs) && len(page.Jobs) < pageSize; at++ {
		page.Jobs = append(page.Jobs, s.jobs[at].shown())
	}
	if at < len(s.jobs) {
		page.NextCursor = new(strconv.Itoa(at) + "-empty")
	}
	answer(w, http.StatusOK, page)
}

func unpack(text string, into any) {
	if err := json.Unmarshal([]byte(text), into); err != nil {
		panic(err)
	}
}
