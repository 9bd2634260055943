package command

import (
	"bufio"
	"errors"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/longshore-queue/longshore/client"
)

const (
	// progressPath is the pipe as a command sees it: the first descriptor after those that
	// every program has. It can be opened by this name, or written to by its number.
	progressPath = "/dev/fd/3"
	// progressLine bounds a line; what is longer is cut. The contract takes messages of 1 KiB.
	progressLine = 4 << 10
)

// ProgressDelay is how long the last lines of a command that has ended are waited for, if something
// that it started still holds the pipe open.
const ProgressDelay = time.Second

// progress is a pipe to which a command writes how far it is. A file would be as good to the
// command, but it would have to be looked at again and again, and could grow.
type progress struct {
	reader *os.File
	writer *os.File      // the command's end
	read   chan struct{} // closed when there is nothing more to read
}

func newProgress() (*progress, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return &progress{reader: reader, writer: writer, read: make(chan struct{})}, nil
}

// follow begins to hand every line on to the run. The command has its own copy of the writing
// end by then; this one would keep the pipe from ending.
func (p *progress) follow(run *client.Run) {
	_ = p.writer.Close()
	go func() {
		defer close(p.read)
		lines := bufio.NewReaderSize(p.reader, progressLine)
		for {
			line, err := lines.ReadSlice('\n')
			if errors.Is(err, os.ErrClosed) {
				return // in the middle of a line, perhaps
			}
			if percent, message, ok := parseProgress(string(line)); ok {
				run.Progress(percent, message)
				run.Flush()
			}
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = lines.ReadSlice('\n')
			}
			if err != nil {
				return
			}
		}
	}()
}

// end waits for the last lines of a command that has ended, and closes the pipe. Whoever writes
// to it afterwards finds it broken.
func (p *progress) end() {
	late := time.NewTimer(ProgressDelay)
	defer late.Stop()
	select {
	case <-p.read:
	case <-late.C:
	}
	_ = p.reader.Close()
	<-p.read
}

// abandon closes the pipe of a command that was not started.
func (p *progress) abandon() {
	_ = p.writer.Close()
	_ = p.reader.Close()
}

// parseProgress reads a line: a percentage from 0 to 100, and a message, or one of them. The
// percentage is less than 0 if there is none. ok is false for an empty line.
func parseProgress(line string) (percent float64, message string, ok bool) {
	line = strings.TrimSpace(line)
	if line == "" {
		return 0, "", false
	}
	first, rest := line, ""
	if space := strings.IndexFunc(line, unicode.IsSpace); space >= 0 {
		first, rest = line[:space], strings.TrimSpace(line[space:])
	}
	percent, err := strconv.ParseFloat(strings.TrimSuffix(first, "%"), 64)
	if err != nil || !(percent >= 0 && percent <= 100) { // not a number is neither
		return -1, line, true
	}
	return percent, rest, true
}
