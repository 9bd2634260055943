package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrUnknown says that this system does not tell.
var ErrUnknown = errors.New("only Linux tells what another process uses")

// tick is the unit of processor times in /proc, which are exact to two of them: USER_HZ, which is 100 wherever Go runs.
const tick = 10 * time.Millisecond

// Resident returns how much memory of the server is resident, in bytes: VmRSS. ErrUnknown.
func (s *Server) Resident() (int64, error) { return residentOf(s.cmd.Process.Pid) }

// FamilyResident is the same of the server and its children. ErrUnknown.
func (s *Server) FamilyResident() (int64, error) {
	sum, err := residentOf(s.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	err = eachChild(s.cmd.Process.Pid, func(pid int, _ statistics) error {
		resident, err := residentOf(pid)
		if errors.Is(err, ErrUnknown) {
			return nil // it has ended meanwhile
		}
		sum += resident
		return err
	})
	return sum, err
}

func residentOf(pid int) (int64, error) {
	status, err := proc(pid, "status")
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(status) {
		if fields := strings.Fields(string(line)); len(fields) == 3 && fields[0] == "VmRSS:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, ErrUnknown
}

// Processor returns the time that the server has spent on processors. ErrUnknown.
func (s *Server) Processor() (time.Duration, error) {
	found, err := statisticsOf(s.cmd.Process.Pid)
	return found.own, err
}

// Files returns how many files and connections the server has open. ErrUnknown.
func (s *Server) Files() (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	if errors.Is(err, os.ErrNotExist) {
		return 0, ErrUnknown
	}
	return len(entries), err
}

// Family returns the time that the server and its children have spent on processors. ErrUnknown.
func (s *Server) Family() (time.Duration, error) { return Family(s.cmd.Process.Pid) }

// Family returns the time that a process and its children have spent on processors. Those that have ended are
// included, to 10 ms. ErrUnknown.
func Family(pid int) (time.Duration, error) {
	head, err := statisticsOf(pid)
	if err != nil {
		return 0, err
	}
	sum := head.own + head.ended
	err = eachChild(pid, func(_ int, child statistics) error {
		sum += child.own
		return nil
	})
	return sum, err
}

// eachChild calls do for each child of a process that there is.
func eachChild(pid int, do func(pid int, child statistics) error) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		other, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue // no process
		}
		found, err := statisticsOf(other)
		if errors.Is(err, ErrUnknown) {
			continue // it has ended meanwhile
		}
		if err == nil && found.parent == pid {
			err = do(other, found)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// statistics are what /proc tells of a process.
type statistics struct {
	parent int
	own    time.Duration // on processors, in user and in kernel mode
	ended  time.Duration // the same of children that have ended
}

func statisticsOf(pid int) (statistics, error) {
	stat, err := proc(pid, "stat")
	if err != nil {
		return statistics{}, err
	}
	found, err := parseStatistics(stat)
	if exact, unknown := clock(pid); err == nil && unknown == nil {
		found.own = exact
	}
	return found, err
}

// parseStatistics reads the parent, which is the 4th field, and the times, from the 14th on; the
// second one is a name in brackets that may hold anything.
func parseStatistics(stat []byte) (statistics, error) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 15 {
		return statistics{}, fmt.Errorf("%q are not the statistics of a process", stat)
	}
	var numbers [5]int64
	for i, at := range []int{1, 11, 12, 13, 14} {
		n, err := strconv.ParseInt(fields[at], 10, 64)
		if err != nil {
			return statistics{}, err
		}
		numbers[i] = n
	}
	return statistics{
		parent: int(numbers[0]),
		own:    time.Duration(numbers[1]+numbers[2]) * tick,
		ended:  time.Duration(numbers[3]+numbers[4]) * tick,
	}, nil
}

func proc(pid int, name string) ([]byte, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return nil, ErrUnknown
	}
	return content, err
}

// LoadAverage returns how many tasks wanted a processor in the last minute. ErrUnknown.
func LoadAverage() (float64, error) {
	content, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, ErrUnknown
	}
	first, _, _ := strings.Cut(string(content), " ")
	return strconv.ParseFloat(first, 64)
}
