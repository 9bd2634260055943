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

	"github.com/longshore-queue/longshore/bench/internal/ceiling"
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

// slowVictim is whose connections are slow.
type slowVictim int

const (
	slowNobody slowVictim = iota
	slowServer            // the server that the client asks
	slowOther             // another one, which the client has nothing to do with
)

// slowSystem is what a way of being slow, to somebody, is called in figures.
func (b *Bench) slowSystem(how slowness, victim slowVictim) report.Name {
	name := report.Name{Workload: b.slowName(), System: "nobody is slow", Measure: "a request, p99", Unit: "ms"}
	switch victim {
	case slowServer:
		name.System = how.name
	case slowOther:
		name.System = how.name + " of another server"
	case slowNobody:
	}
	return name
}

// slowTrial is one thing that is measured in each round.
type slowTrial struct {
	how    slowness
	victim slowVictim
}

// slow measures a client's requests: alone, beside connections of others that are slow on purpose, and beside the same
// where they are another server's. What the program that is slow takes from the machine is in both of those.
func slow(ctx context.Context, b *Bench) error {
	program, err := exec.LookPath(slowProgram)
	if err != nil {
		return fmt.Errorf("the workload slow wants %s: %w", slowProgram, err)
	}
	b.Figures.Compare(b.slowName())
	trials := []slowTrial{{victim: slowNobody}}
	for _, how := range slownesses() {
		trials = append(trials, slowTrial{how, slowOther}, slowTrial{how, slowServer})
	}
	for round := range b.Repeat {
		for _, i := range turns(len(trials), round) {
			if err := b.addSlow(ctx, program, trials[i]); err != nil {
				return fmt.Errorf("%s: %w", b.slowSystem(trials[i].how, trials[i].victim).System, err)
			}
		}
	}
	for _, how := range slownesses() {
		under := b.slowSystem(how, slowServer)
		name := report.Name{Workload: b.slowName(), System: how.name, Measure: "by that of another server"}
		b.Figures.Ratio(name, under, b.slowSystem(how, slowOther))
		b.aim(name, report.Goal{Limit: slowGoal, AtMost: true})
		name.Measure = "by nobody"
		b.Figures.Ratio(name, under, b.slowSystem(slowness{}, slowNobody))
	}
	return nil
}

func (b *Bench) slowName() string {
	return b.name() + ", " + report.Number(float64(b.Slow)) + " connections that are slow"
}

// addSlow adds the figures of one trial.
func (b *Bench) addSlow(ctx context.Context, program string, trial slowTrial) error {
	found, err := b.slowOnce(ctx, program, trial)
	if err != nil {
		return err
	}
	name := b.slowSystem(trial.how, trial.victim)
	p99 := stat.Percentile(found.took, 99) / 1e6
	b.Say("slow, %s: p99 %s ms of %d requests, %d slow connections at the end", name.System, report.Number(p99), len(found.took), found.held)
	b.Figures.Add(name, p99)
	name.Measure, name.Unit = "processors that the server takes", ""
	b.Figures.Add(name, found.processor.Seconds()/slowTime.Seconds())
	if trial.victim != slowNobody {
		name.Measure, name.Unit = "slow connections at the end", ""
		b.Figures.Add(name, float64(found.held))
	}
	return nil
}

// slowFound is what was found in one trial.
type slowFound struct {
	took      []time.Duration // the client's requests
	processor time.Duration   // of the server that it asks
	held      int             // slow connections that there were at the end
}

// slowOnce measures one trial from a start of its own.
func (b *Bench) slowOnce(ctx context.Context, program string, trial slowTrial) (found slowFound, err error) {
	store, err := b.fresh(ctx)
	if err != nil {
		return found, err
	}
	defer func() { err = closing(err, b.remover(ctx, store)) }()
	s, err := b.start(ctx, store, b.LogLevel, "slow")
	if err != nil {
		return found, err
	}
	defer func() { err = closing(err, s.Stop) }()
	victim := s
	if trial.victim == slowOther {
		if victim, err = b.startCeiling(ctx, ceiling.Edge, b.LogLevel); err != nil {
			return found, err
		}
		defer func() { err = closing(err, victim.Stop) }()
		// It stands for another machine, as the program does.
		if err := victim.Yield(); err != nil {
			return found, err
		}
	}
	conn, err := wire.Dial(ctx, s.Address)
	if err != nil {
		return found, err
	}
	defer conn.Close()
	if _, err := repeatHonest(conn, b.WarmUp); err != nil {
		return found, err
	}
	files, err := victim.Files()
	if err != nil {
		return found, err
	}
	if trial.victim != slowNobody {
		var stop func() error
		if stop, err = b.startSlow(ctx, program, victim, trial.how); err != nil {
			return found, err
		}
		defer func() { err = closing(err, stop) }()
	}
	before, err := s.Processor()
	if err != nil {
		return found, err
	}
	if found.took, err = repeatHonest(conn, slowTime); err != nil {
		return found, err
	}
	after, err := s.Processor()
	if err != nil {
		return found, err
	}
	held, err := victim.Files()
	found.processor, found.held = after-before, held-files
	return found, err
}

// startSlow has the program open its connections, within half the time.
func (b *Bench) startSlow(ctx context.Context, program string, victim *process.Server, how slowness) (stop func() error, err error) {
	ctx, cancel := context.WithCancel(ctx)
	rate := max(1, b.Slow/int(slowTime/2/time.Second))
	arguments := append([]string{
		"-c", strconv.Itoa(b.Slow), "-r", strconv.Itoa(rate), "-l", strconv.Itoa(int(2 * slowTime / time.Second)), "-v", "1",
		"-u", "http://" + victim.Address + how.path,
	}, how.arguments...)
	log, err := os.Create(filepath.Join(b.Work, slowProgram+".log"))
	if err != nil {
		cancel()
		return nil, err
	}
	command := exec.CommandContext(ctx, program, arguments...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = process.Attributes(syscall.SIGKILL)
	if err := command.Start(); err != nil {
		cancel()
		return nil, errors.Join(err, log.Close())
	}
	// It stands for other machines, and would take the processors of this one from the server.
	if err := process.Yield(command.Process.Pid); err != nil {
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
