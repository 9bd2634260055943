package workload

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
	"github.com/longshore-queue/longshore/bench/internal/load"
	"github.com/longshore-queue/longshore/bench/internal/wire"
)

// cyclingBatches adds size jobs, and then leases as many and finishes those before in one request.
// There are always as many to lease, as in cycling; where a database does not let them all be
// seen at once, it takes more requests.
func (b *Bench) cyclingBatches(size int) func(connection int) load.Operation {
	return func(connection int) load.Operation { return b.cyclingBatch(size, connection) }
}

func (b *Bench) cyclingBatch(size, connection int) load.Operation {
	source := jobs.New("batches of cycles of connection " + strconv.Itoa(connection))
	added := make([][]byte, batchesKinds)
	for i := range added {
		batch := make([]string, size)
		for j := range batch {
			batch[j] = source.Body()
		}
		added[i] = postBatch(batch)
	}
	turn := 0
	exchange := newExchange(b.dequeue(), size)
	return func(c *wire.Conn) error {
		turn = (turn + 1) % batchesKinds
		if _, err := c.Expect(http.StatusCreated, added[turn]); err != nil {
			return fmt.Errorf("enqueue: %w", err)
		}
		for left := size; left > 0; {
			leased, err := exchange.on(c, left)
			if err != nil {
				return err
			}
			left -= leased
		}
		return nil
	}
}

// exchange reports on leases and asks for others. The request that is nearly always sent is made
// once, with a gap for each token.
type exchange struct {
	ask   string // what is asked for, without its end
	whole []byte // reports on as many as there can be, and asks for as many
	gaps  [][]byte
	held  int // leases to report on, whose tokens are in the gaps
}

// newExchange makes one that asks as dequeue does, for size jobs at most.
func newExchange(dequeue string, size int) *exchange {
	e := &exchange{ask: strings.TrimSuffix(dequeue, "}"), gaps: make([][]byte, size)}
	gap := strings.Repeat("-", tokenSize)
	e.whole = e.request(size, slices.Repeat([]string{gap}, size))
	rest := e.whole
	for i := range e.gaps {
		e.gaps[i], rest = cutGap(rest, gap)
	}
	return e
}

// request asks for jobs and reports on leases.
func (e *exchange) request(most int, tokens []string) []byte {
	body := e.ask + `,"max":` + strconv.Itoa(most)
	if len(tokens) > 0 {
		const before, after = `{"token":"`, `","result":{"ok":true}}`
		body += `,"finish":[` + before + strings.Join(tokens, after+","+before) + after + `]`
	}
	return wire.Post("/v1/dequeue/batch", body+"}")
}

// cutGap returns the first gap in a request, which is there to be filled, and what is after it.
func cutGap(request []byte, gap string) (place, rest []byte) {
	before, rest, _ := bytes.Cut(request, []byte(gap))
	return request[len(before):][:len(gap):len(gap)], rest
}

// next is the request that reports on all leases that are held.
func (e *exchange) next(most int) []byte {
	if e.held == len(e.gaps) && most == len(e.gaps) {
		return e.whole
	}
	tokens := make([]string, e.held)
	for i := range tokens {
		tokens[i] = string(e.gaps[i])
	}
	return e.request(most, tokens)
}

// on leases up to so many jobs, and finishes those that were leased before. It returns how many
// were leased.
func (e *exchange) on(c *wire.Conn, most int) (leased int, err error) {
	answer, err := c.Expect(http.StatusOK, e.next(most))
	if err != nil {
		return 0, fmt.Errorf("dequeue and finish: %w", err)
	}
	finished, leases, _ := bytes.Cut(answer.Body, []byte(`"leases":[`))
	if bytes.Count(finished, []byte(`"state":"finished"`)) != e.held {
		return 0, fmt.Errorf("not all were finished: %s", finished)
	}
	const before = `,"token":"`
	for e.held = 0; e.held < most; e.held++ {
		at := bytes.Index(leases, []byte(before))
		if at < 0 {
			break
		}
		if len(leases) < at+len(before)+tokenSize {
			return 0, errors.New("a token is cut short")
		}
		leases = leases[at+len(before):]
		copy(e.gaps[e.held], leases)
	}
	if e.held == 0 {
		return 0, errors.New("no leases where there are jobs")
	}
	return e.held, nil
}
