package workload

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/longshore-queue/longshore/bench/internal/process"
	"github.com/longshore-queue/longshore/bench/internal/report"
	"github.com/longshore-queue/longshore/bench/internal/stat"
	"github.com/longshore-queue/longshore/bench/internal/wire"
)

const (
	// slowTime is how long a client is watched beside slow ones. They connect in the first half of it.
	slowTime = 10 * time.Second
	// slowGoal is how many times as long the client's requests may take, by the 99th percentiles.
	slowGoal = 2.0
	// slowProgram is the program that is slow, of the Debian package of that name.
	slowProgram = "slowhttptest"
	// slowPriority is the lowest.
	slowPriority = 19
)

// slowness is a way of being slow.
type slowness struct {
	name      string
	path      string
	arguments []string
}

func slownesses() []slowness {
	return []slowness{
		{name: "slow heads", path: "/v1/jobs", arguments: []string{"-H", "-i", "5", "-x", "8"}},
		{name: "slow bodies", path: "/v1/jobs", arguments: []string{"-B", "-i", "5", "-x", "8", "-f", "application/json", "-s", "8192"}},
		{name: "slow reading", path: "/openapi.json", arguments: []string{"-X", "-n", "5", "-w", "256", "-y", "512", "-z", "32", "-k", "3"}},
	}
}

// slow measures a client's requests, alone and beside connections of others that are slow on purpose.
func slow(ctx context.Context, b *Bench) error {
	program, err := exec.LookPath(slowProgram)
	if err != nil {
		return fmt.Errorf("the workload slow wants %s: %w", slowProgram, err)
	}
	b.Figures.Compare(b.slowName())
	measure := func(system string) report.Name {
		return report.Name{Workload: b.slowName(), System: system, Measure: "a request, p99", Unit: "ms"}
	}
	const alone = "nobody is slow"
	for round := range b.Repeat {
		for _, one := range append([]slowness{{name: alone}}, slownesses()...) {
			took, err := b.slowOnce(ctx, program, one)
			if err != nil {
				return fmt.Errorf("%s: %w", one.name, err)
			}
			p99 := stat.Percentile(took, 99) / 1e6
			b.Say("slow %d/%d, %s: p99 %s ms of %d requests", round+1, b.Repeat, one.name, report.Number(p99), len(took))
			b.Figures.Add(measure(one.name), p99)
		}
	}
	for _, one := range slownesses() {
		name := report.Name{Workload: b.slowName(), System: one.name + " by nobody", Measure: "a request, p99"}
		b.Figures.Ratio(name, measure(one.name), measure(alone))
		b.aim(name, report.Goal{Limit: slowGoal, AtMost: true})
	}
	return nil
}

func (b *Bench) slowName() string {
	return b.name() + ", " + report.Number(float64(b.Slow)) + " connections that are slow"
}

// slowOnce returns how long the requests of a client took.
func (b *Bench) slowOnce(ctx context.Context, program string, how slowness) (took []time.Duration, err error) {
	store, err := b.fresh(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = closing(err, b.remover(ctx, store)) }()
	s, err := b.start(ctx, store, b.LogLevel, "slow")
	if err != nil {
		return nil, err
	}
	defer func() { err = closing(err, s.Stop) }()
	conn, err := wire.Dial(ctx, s.Address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := repeatHonest(conn, b.WarmUp); err != nil {
		return nil, err
	}
	if how.arguments != nil {
		stop, err := b.startSlow(ctx, program, s, how)
		if err != nil {
			return nil, err
		}
		defer func() { err = closing(err, stop) }()
	}
	return repeatHonest(conn, slowTime)
}

// startSlow has the program open its connections, within half the time.
func (b *Bench) startSlow(ctx context.Context, program string, s *process.Server, how slowness) (stop func() error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	rate := max(1, b.Slow/int(slowTime/2/time.Second))
	arguments := append([]string{
		"-c", strconv.Itoa(b.Slow), "-r", strconv.Itoa(rate), "-l", strconv.Itoa(int(2 * slowTime / time.Second)), "-v", "1",
		"-u", "http://" + s.Address + how.path,
	}, how.arguments...)
	log, err := os.Create(filepath.Join(b.Work, slowProgram+".log"))
	if err != nil {
		cancel()
		return nil, err
	}
	command := exec.CommandContext(ctx, program, arguments...)
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		cancel()
		return nil, errors.Join(err, log.Close())
	}
	// It stands for other machines, and would take the processors of this one from the server.
	if err := syscall.Setpriority(syscall.PRIO_PROCESS, command.Process.Pid, slowPriority); err != nil {
		cancel()
		return nil, errors.Join(err, command.Wait(), log.Close())
	}
	return func() error {
		cancel()
		_ = command.Wait() // it was killed, or ended before
		return log.Close()
	}, nil
}

// repeatHonest adds jobs, leases and finishes them for that long, and returns how long each request
// took.
func repeatHonest(conn *wire.Conn, d time.Duration) (took []time.Duration, err error) {
	job, dequeue, finish := newJobs(0), wire.Post("/v1/dequeue", dequeueWait), newFinish()
	timed := func(do func() error) {
		if err == nil {
			begin := time.Now()
			err = do()
			took = append(took, time.Since(begin))
		}
	}
	for end := time.Now().Add(d); err == nil && time.Now().Before(end); {
		var lease wire.Response
		timed(func() error {
			_, err := conn.Expect(http.StatusCreated, job())
			return err
		})
		timed(func() (err error) {
			lease, err = conn.Expect(http.StatusCreated, dequeue)
			return err
		})
		timed(func() error { return finish.of(conn, lease) })
	}
	return took, err
}
