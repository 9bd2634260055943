package queue

import (
	"fmt"
	"regexp"
)

// MaxBackupName is how long the name of a backup may be, in bytes.
const MaxBackupName = 100

// Backup is a copy of a store that was made.
type Backup struct {
	Name  string
	Bytes int64 // of its files
}

// backupNames are what backups may be called: each is the name of a directory, and cannot leave the
// one that it is in.
var backupNames = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// ValidateBackupName returns an *InvalidError if a backup cannot be called so.
func ValidateBackupName(name string) error {
	if len(name) > MaxBackupName || !backupNames.MatchString(name) {
		return &InvalidError{
			Field:  "name",
			Reason: fmt.Sprintf("must be 1 to %d letters, digits or . _ -, and begin with a letter or a digit", MaxBackupName),
		}
	}
	return nil
}
