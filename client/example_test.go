package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/longshore-queue/longshore/client"
)

// A job that waits for tonight, is tried again when it fails, and exists once.
func ExampleClient_Enqueue() {
	ctx := context.Background()
	api, err := client.New("http://127.0.0.1:8080", client.Options{})
	if err != nil {
		panic(err)
	}
	job, err := api.Enqueue(ctx, client.NewJob{
		Type:           "report",
		Args:           json.RawMessage(`{"month": 11}`),
		RunAt:          new(time.Now().Add(6 * time.Hour)),
		TimeoutSeconds: new(600.0),
		Retry:          &client.RetryPolicy{MaxAttempts: 5, InitialSeconds: new(30.0)},
		UniqueKey:      new("nightly-report"),
	})
	if err != nil {
		panic(err)
	}
	if job.Existing {
		fmt.Println("it is on its way already:", job.Id)
	}
}

// A graph in one call: both pictures are made smaller, then an album is made of them, even if
// the second one cannot be read.
func ExampleClient_EnqueueBatch() {
	ctx := context.Background()
	api, err := client.New("http://127.0.0.1:8080", client.Options{})
	if err != nil {
		panic(err)
	}
	created, err := api.EnqueueBatch(ctx, []client.NewJob{
		{Name: new("cover"), Type: "resize", Args: json.RawMessage(`"a.png"`)},
		{Name: new("back"), Type: "resize", Args: json.RawMessage(`"b.png"`)},
		{Name: new("album"), Type: "album", Needs: client.Needs(
			client.Need{Name: "cover"},
			client.Need{Name: "back", If: new(client.NeedIfFinished)},
		)},
	})
	if err != nil {
		panic(err)
	}
	album, err := api.Wait(ctx, created.ByName()["album"].Id)
	if err != nil {
		panic(err)
	}
	fmt.Println(album.State, string(album.Result))
}

// What failed for good is looked at, and sent on its way again.
func ExampleClient_List() {
	ctx := context.Background()
	api, err := client.New("http://127.0.0.1:8080", client.Options{})
	if err != nil {
		panic(err)
	}
	for job, err := range api.List(ctx, client.Failed) {
		if err != nil {
			panic(err)
		}
		if job.Error.Reason != "no-route" {
			continue
		}
		if _, err := api.Retry(ctx, job.Id); err != nil {
			fmt.Println(job.Id, err)
		}
	}
}

// A handler that tells how far it is, and is tried again when the network fails.
func ExampleHandler() {
	fetch := func(ctx context.Context, _ int) error { return ctx.Err() }
	var handle client.Handler = func(ctx context.Context, run *client.Run) (any, error) {
		var pages int
		if err := json.Unmarshal(run.Args, &pages); err != nil {
			return nil, &client.Failure{Reason: "bad-args"}
		}
		for page := range pages {
			err := fetch(ctx, page)
			switch {
			case errors.Is(err, errNetwork):
				return nil, client.Retryable(err, time.Minute)
			case err != nil:
				return nil, err
			}
			run.Progress(100*float64(page+1)/float64(pages), fmt.Sprintf("page %d of %d", page+1, pages))
		}
		return map[string]int{"pages": pages}, nil
	}
	_ = handle
}
