package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
	"github.com/longshore-queue/longshore/bench/internal/wire"
)

// fillBatch is how many jobs are added, leased and finished at once.
const fillBatch = 1000

// fillByServer adds jobs of a kind through a server of its own.
func (b *Bench) fillByServer(ctx context.Context, store, kind string, count int) (ids span, err error) {
	// What is finished stays.
	s, err := b.start(ctx, store, b.LogLevel, "fill", "--retention", "0")
	if err != nil {
		return span{}, err
	}
	defer func() { err = closing(err, s.Stop) }()
	conn, err := wire.Dial(ctx, s.Address)
	if err != nil {
		return span{}, err
	}
	defer conn.Close()
	f := &filler{adder: adder{conn: conn, source: jobs.New("backlog")}}
	for left := count; left > 0; left -= fillBatch {
		added, err := f.add(kind, left)
		if err != nil {
			return span{}, fmt.Errorf("fill a store: %w", err)
		}
		if ids.first == "" {
			ids.first = added[0]
		}
		ids.last = added[len(added)-1]
		if kind != kindFinished {
			continue
		}
		if err := f.finish(len(added)); err != nil {
			return span{}, fmt.Errorf("fill a store: %w", err)
		}
	}
	return ids, nil
}

// filler adds jobs over one connection, so that they are in order.
type filler struct{ adder }

// add adds one batch of those that are left.
func (f *filler) add(kind string, left int) (ids []string, err error) {
	batch := make([]string, min(left, fillBatch))
	for i := range batch {
		switch {
		case kind == kindLanes:
			channel, jobType := strconv.Itoa((left+i)/100), strconv.Itoa((left+i)%100)
			batch[i] = `{"type":"type-` + jobType + `","channel":"channel-` + channel + `","args":` + string(f.source.Args()) + `}`
		case kind == kindTypes:
			batch[i] = `{"type":"type-` + strconv.Itoa(left+i) + `","args":` + string(f.source.Args()) + `}`
		case kind == kindChannels:
			batch[i] = f.source.BodyWith(`"channel":"channel-` + strconv.Itoa(left+i) + `",`)
		case i%10 == 0:
			batch[i] = f.source.BodyWith(`"labels":{"tenth":""},`)
		default:
			batch[i] = f.source.Body()
		}
	}
	return f.post(batch)
}

// finish leases so many jobs, which are there, and finishes them. An engine may hand out fewer at
// once than it is asked for.
func (f *filler) finish(count int) error {
	for left := count; left > 0; {
		finished, err := f.finishSome(left)
		if err != nil {
			return err
		}
		left -= finished
	}
	return nil
}

func (f *filler) finishSome(most int) (finished int, err error) {
	r, err := f.conn.Expect(http.StatusOK, wire.Post("/v1/dequeue/batch", `{"types":["`+jobs.Type+`"],"max":`+strconv.Itoa(most)+`}`))
	if err != nil {
		return 0, fmt.Errorf("lease jobs: %w", err)
	}
	var leased struct{ Leases []struct{ Token string } }
	if err := json.Unmarshal(r.Body, &leased); err != nil {
		return 0, fmt.Errorf("the leases: %w", err)
	}
	if len(leased.Leases) == 0 {
		return 0, fmt.Errorf("no leases where there are %d jobs", most)
	}
	reports := make([]string, len(leased.Leases))
	for i, l := range leased.Leases {
		reports[i] = `{"token":"` + l.Token + `","result":{"ok":true}}`
	}
	// It reports only: there are no jobs of such a type.
	r, err = f.conn.Expect(http.StatusOK, wire.Post("/v1/dequeue/batch", `{"types":["none"],"max":1,"finish":[`+strings.Join(reports, ",")+`]}`))
	if err != nil {
		return 0, fmt.Errorf("finish jobs: %w", err)
	}
	if finished = strings.Count(string(r.Body), `"state":"finished"`); finished != len(reports) {
		return 0, fmt.Errorf("%d jobs were finished instead of %d: %s", finished, len(reports), r.Body[:min(len(r.Body), 1000)])
	}
	return finished, nil
}
