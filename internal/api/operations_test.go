package api

import (
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
)

func TestOperationWithoutARuleDoesNotStart(t *testing.T) {
	t.Parallel()
	registered := []*echo.Route{{Method: "POST", Path: "/v1/jobs"}}
	_, err := routesOf(registered, operations())
	require.NoError(t, err)
	_, err = routesOf(registered, map[string]operation{"POST /v1/jobs": {name: "createJob"}})
	require.ErrorContains(t, err, "nothing says who may call POST /v1/jobs")
	_, err = routesOf(registered, map[string]operation{"GET /v1/jobs": operations()["GET /v1/jobs"]})
	require.ErrorContains(t, err, "nothing says who may call POST /v1/jobs")
}
