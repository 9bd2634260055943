package postgres

import (
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"
)

//nolint:paralleltest // allocations of other tests would be counted
func TestNoTextIsMadeOfEachIDThatIsWritten(t *testing.T) {
	const jobs = 100
	var written columns
	for range jobs {
		written.add(&row{id: uuid.New()})
	}
	driver, buffer := pgtype.NewMap(), make([]byte, 0, 64*jobs)
	encode := func() {
		encoded, err := driver.Encode(pgtype.UUIDArrayOID, pgtype.BinaryFormatCode, written.ids, buffer)
		require.NoError(t, err)
		require.Len(t, encoded, 20+20*jobs)
	}
	require.LessOrEqual(t, testing.AllocsPerRun(10, encode)/jobs, 3.0, "for each")
}
