package process

import "golang.org/x/sys/unix"

// InMemory tells whether what is in a directory is kept in memory, and on no disk.
func InMemory(directory string) (bool, error) {
	var found unix.Statfs_t
	if err := unix.Statfs(directory, &found); err != nil {
		return false, err
	}
	return found.Type == unix.TMPFS_MAGIC || found.Type == unix.RAMFS_MAGIC, nil
}
