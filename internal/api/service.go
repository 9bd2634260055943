package api

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"go.yaml.in/yaml/v3"

	contract "github.com/longshore-queue/longshore/api"
	"github.com/longshore-queue/longshore/internal/api/oapi"
	"github.com/longshore-queue/longshore/internal/queue"
)

// document is the contract in the two forms that it is served in, each with a newline at its
// end.
type document struct {
	yaml []byte
	json func() ([]byte, error) // made when somebody asks for it first: it takes a while
}

func loadDocument() document {
	text := []byte(contract.Contract())
	return document{yaml: text, json: sync.OnceValues(func() ([]byte, error) {
		var tree map[string]any
		if err := yaml.Unmarshal(text, &tree); err != nil {
			return nil, fmt.Errorf("read the contract: %w", err)
		}
		converted, err := json.Marshal(tree)
		if err != nil {
			return nil, fmt.Errorf("write the contract as JSON: %w", err)
		}
		return append(converted, '\n'), nil
	})}
}

// GetOpenAPIJSON answers GET /openapi.json.
func (a *API) GetOpenAPIJSON(ctx context.Context, _ oapi.GetOpenAPIJSONRequestObject) (oapi.GetOpenAPIJSONResponseObject, error) {
	text, err := a.document.json()
	if err != nil {
		return nil, err
	}
	return a.textAnswer(ctx, "application/json", text), nil
}

// GetOpenAPIYAML answers GET /openapi.yml.
func (a *API) GetOpenAPIYAML(ctx context.Context, _ oapi.GetOpenAPIYAMLRequestObject) (oapi.GetOpenAPIYAMLResponseObject, error) {
	return a.textAnswer(ctx, "application/yaml", a.document.yaml), nil
}

// GetHealth answers GET /healthz: that it does is all there is to say.
func (a *API) GetHealth(context.Context, oapi.GetHealthRequestObject) (oapi.GetHealthResponseObject, error) {
	return oapi.GetHealth200JSONResponse{Status: oapi.Ok}, nil
}

// GetReadiness answers GET /readyz.
func (a *API) GetReadiness(ctx context.Context, _ oapi.GetReadinessRequestObject) (oapi.GetReadinessResponseObject, error) {
	if a.stopping() {
		return nil, queue.ErrUnavailable
	}
	if err := a.queue.Ready(ctx); err != nil {
		return nil, err
	}
	return oapi.GetReadiness200JSONResponse{Status: oapi.Ok}, nil
}

// ListErrors answers GET /v1/errors.
func (a *API) ListErrors(ctx context.Context, _ oapi.ListErrorsRequestObject) (oapi.ListErrorsResponseObject, error) {
	list := oapi.ListErrors200JSONResponse{Errors: make([]oapi.ErrorDescription, len(a.catalogue.kinds))}
	for i, k := range a.catalogue.kinds {
		list.Errors[i] = k.view()
	}
	text, err := json.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("write the catalogue: %w", err)
	}
	return a.textAnswer(ctx, "application/json", append(text, '\n')), nil
}

// GetError answers GET /v1/errors/{code}.
func (a *API) GetError(_ context.Context, request oapi.GetErrorRequestObject) (oapi.GetErrorResponseObject, error) {
	k, found := a.catalogue.find(request.Code)
	if !found {
		return nil, &requestError{code: codeErrorNotFound}
	}
	return oapi.GetError200JSONResponse(k.view()), nil
}
