package api_test

import (
	"testing"

	"github.com/getkin/kin-openapi/openapi3filter"
	"go.uber.org/goleak"

	"github.com/longshore-queue/longshore/internal/queue/postgres/pgtest"
)

func TestMain(m *testing.M) {
	// The document is served as text; the validator would parse it and compare the tree.
	openapi3filter.RegisterBodyDecoder("application/yaml", openapi3filter.FileBodyDecoder)
	goleak.VerifyTestMain(pgtest.M{M: m})
}
