// Package nats serves NATS JetStream (https://nats.io) and speaks to it with its own client. Jobs go
// through a stream that is a work queue, kept in files; a lane is a subject with a consumer that workers
// pull from and that wants each job acknowledged.
//
// A batch is published without waiting in between, fetched in one request, and acknowledged one
// by one: the last one waits for its answer, before which the server has handled the others.
package nats

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/longshore-queue/longshore/bench/internal/jobs"
	"github.com/longshore-queue/longshore/bench/internal/peer"
)

const (
	stream = "jobs"
	// patience is how long a request may take.
	patience = time.Minute
	// ackWait is how long a job may be with a worker: longer than anything here takes.
	ackWait = 10 * time.Minute
)

func subject(lane string) string { return stream + "." + lane }

// Prepare makes the stream and its consumers.
func Prepare(address string) error {
	conn, js, err := connect(address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := js.AddStream(&nats.StreamConfig{
		Name: stream, Subjects: []string{subject("*")}, Retention: nats.WorkQueuePolicy, Storage: nats.FileStorage,
	}); err != nil {
		return fmt.Errorf("make a stream: %w", err)
	}
	for _, lane := range []string{peer.Lane, peer.OtherLane} {
		if _, err := js.AddConsumer(stream, &nats.ConsumerConfig{
			Durable: lane, FilterSubject: subject(lane), AckPolicy: nats.AckExplicitPolicy, AckWait: ackWait, MaxAckPending: -1,
		}); err != nil {
			return fmt.Errorf("make a consumer: %w", err)
		}
	}
	return nil
}

func connect(address string) (*nats.Conn, nats.JetStreamContext, error) {
	conn, err := nats.Connect("nats://" + address)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to NATS: %w", err)
	}
	js, err := conn.JetStream(nats.MaxWait(patience))
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("use JetStream: %w", err)
	}
	return conn, js, nil
}

// Opener opens sessions at an address.
func Opener(address string) peer.Opener {
	return func(ctx context.Context, lane string, caller int) (peer.Session, error) {
		conn, js, err := connect(address)
		if err != nil {
			return nil, err
		}
		s := &session{conn: conn, js: js, subject: subject(lane), job: jobs.New(fmt.Sprint("nats ", caller)).Args()}
		s.ctx, s.cancel = context.WithCancel(ctx)
		if s.worker, err = js.PullSubscribe(s.subject, lane, nats.Bind(stream, lane)); err != nil {
			s.Close()
			return nil, fmt.Errorf("subscribe: %w", err)
		}
		return s, nil
	}
}

type session struct {
	ctx     context.Context // it is what Close ends
	cancel  context.CancelFunc
	conn    *nats.Conn
	js      nats.JetStreamContext
	worker  *nats.Subscription
	subject string
	job     []byte
	fetched []*nats.Msg
	once    sync.Once
}

// Add publishes jobs.
func (s *session) Add(n int) error {
	if n == 1 {
		_, err := s.js.Publish(s.subject, s.job)
		return err
	}
	answers := make([]nats.PubAckFuture, n)
	for i := range answers {
		var err error
		if answers[i], err = s.js.PublishAsync(s.subject, s.job); err != nil {
			return err
		}
	}
	for _, answer := range answers {
		select {
		case <-answer.Ok():
		case err := <-answer.Err():
			return err
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
	return nil
}

// Fetch pulls jobs.
func (s *session) Fetch(n int) error {
	s.fetched = s.fetched[:0]
	for len(s.fetched) < n {
		messages, err := s.worker.Fetch(n-len(s.fetched), nats.MaxWait(patience))
		if err != nil {
			return err
		}
		s.fetched = append(s.fetched, messages...)
	}
	return nil
}

// Acknowledge tells that jobs are done.
func (s *session) Acknowledge() error {
	if len(s.fetched) == 0 {
		return errors.New("nothing was fetched")
	}
	last := len(s.fetched) - 1
	for _, message := range s.fetched[:last] {
		if err := message.Ack(); err != nil {
			return err
		}
	}
	return s.fetched[last].AckSync()
}

// Close closes the connection.
func (s *session) Close() {
	s.once.Do(func() {
		s.cancel()
		s.conn.Close()
	})
}
