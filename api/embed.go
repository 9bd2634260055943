// Package api holds the contract of Longshore's HTTP interface, openapi.yml: the source of
// the types, routes and clients that are generated, and what the server serves about itself.
package api

import _ "embed"

//go:embed openapi.yml
var contract string

// Contract returns the OpenAPI document, as YAML.
func Contract() string { return contract }
