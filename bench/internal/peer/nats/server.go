package nats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// readyTimeout is how long the server may take until it accepts connections.
const readyTimeout = 30 * time.Second

// Serve serves JetStream, with its files in a directory, until ctx ends. always makes it sync before it answers;
// otherwise it syncs every two minutes, which is its default.
func Serve(ctx context.Context, address, directory string, always bool) error {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("the port of %s: %w", address, err)
	}
	s, err := server.NewServer(&server.Options{
		Host: host, Port: port, JetStream: true, StoreDir: directory, SyncAlways: always, NoSigs: true, NoLog: true,
	})
	if err != nil {
		return fmt.Errorf("make the NATS server: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(readyTimeout) {
		return errors.New("the NATS server does not accept connections")
	}
	<-ctx.Done()
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}
