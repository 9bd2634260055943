package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAnAddressThatCannotBeParsedIsNotShown(t *testing.T) {
	t.Parallel()
	for _, address := range []string{
		"postgres://u:planted@planted@h:port/x", "postgres://u:planted@[::1/x", "postgres://u:pl%zzanted@h/x", "postgres://u:`: planted@h:port/x",
		"postgres://u@h/x?password=planted&connect_timeout=soon", "postgres://u@h:port/x?password=pl anted",
	} {
		_, err := poolConfig(address, &Options{})
		require.ErrorContains(t, err, "the address of the database cannot be parsed: ", address)
		require.NotContains(t, err.Error(), "anted", address)
		_, err = Audit(t.Context(), address)
		require.ErrorContains(t, err, "the address of the database cannot be parsed: ", address)
		require.NotContains(t, err.Error(), "anted", address)
	}
}
