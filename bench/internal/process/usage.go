package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// ErrUnknown says that this system does not tell.
var ErrUnknown = errors.New("only Linux tells what another process uses")

// tick is the unit of processor times in /proc: USER_HZ, which is 100 wherever Go runs.
const tick = 10 * time.Millisecond

// Resident returns how much memory of the server is resident, in bytes: VmRSS. ErrUnknown.
func (s *Server) Resident() (int64, error) {
	status, err := s.proc("status")
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

// Processor returns the time that the server has spent on processors, to the nearest 10 ms.
// ErrUnknown.
func (s *Server) Processor() (time.Duration, error) {
	stat, err := s.proc("stat")
	if err != nil {
		return 0, err
	}
	return processorOf(stat)
}

// processorOf reads the times in user and in kernel mode, which are the 14th and the 15th
// field; the second one is a name in brackets that may hold anything.
func processorOf(stat []byte) (time.Duration, error) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("%q are not the statistics of a process", stat)
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	if err != nil {
		return 0, err
	}
	return time.Duration(user+system) * tick, nil
}

func (s *Server) proc(name string) ([]byte, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.cmd.Process.Pid, name))
	if errors.Is(err, os.ErrNotExist) {
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
