package pgcluster

import "syscall"

// memory returns a directory that is in memory, if there is one with plenty of room. A database
// is three hundred files, and a file system on a disk gets slow where so many come and go. What
// a server has synced survives its crash there too, as only the end of the machine is worse.
func memory() string {
	const (
		dir  = "/dev/shm"
		room = 4 << 30 // in bytes: containers often have no more than 64 MiB
	)
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil || stat.Bavail*uint64(stat.Bsize) < room {
		return ""
	}
	return dir
}
