package postgres

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// badAddress says what is wrong with the address of a database, without any of it: pgx shows the address, and in one
// that cannot be parsed it may take a part of the password for something else.
func badAddress(err error) error {
	reason := err.Error()
	var parsing *pgconn.ParseConfigError
	if errors.As(err, &parsing) {
		reason = reason[strings.LastIndex(reason, "`: ")+len("`: "):]
	}
	return fmt.Errorf("the address of the database cannot be parsed: %s", reason)
}
