//go:build unix && !linux

package process

// InMemory would tell whether what is in a directory is kept in memory, and on no disk.
func InMemory(string) (bool, error) { return false, ErrUnknown }
