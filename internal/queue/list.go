package queue

import "github.com/google/uuid"

// MaxPage is how many jobs one page of a list may have.
const MaxPage = 1000

// Listing asks for one page of jobs, newest first.
type Listing struct {
	States []State // any of these; none is all
	// Before leaves out the job with that id and all newer ones; the zero id leaves out none.
	Before uuid.UUID
	Limit  int // 1 to MaxPage
}

// Page is a part of a list.
type Page struct {
	Jobs []ListedJob
	// Next is the Before of the next page; the zero id if this was the last one. A page may
	// have fewer jobs than its limit, even none, although it is not the last: looking for
	// rare ones ends after a while.
	Next uuid.UUID
}

// ListedJob is a job in a list.
type ListedJob struct {
	Job    Job
	Status Status
}
