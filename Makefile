# Everything that building, checking and releasing Longshore needs. `make help` lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

BIN := bin
GO  ?= go

# The directory whose source files `make demo` counts.
DIR = .
# What the servers of `make demo` keep the queue in: disk, or postgres for two of them on one database.
STORE = disk
# How long `make fuzz-short` gives to each target.
FUZZTIME = 5s
# How often `make bench` repeats each benchmark; benchstat wants 6 or more to compare.
BENCHCOUNT = 1
# Which benchmarks of the engine `make bench` runs.
BENCH = .
# What `make bench` tells the program in bench/, such as --only=enqueue,wake --repeat=9.
BENCHFLAGS =

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X github.com/longshore-queue/longshore/internal/buildinfo.version=$(VERSION) \
	-X github.com/longshore-queue/longshore/internal/buildinfo.commit=$(COMMIT)

# Modules apart from the main one, which `./...` does not reach.
NESTED := $(patsubst %/go.mod,%,$(wildcard bench/go.mod deploy/check/go.mod))

export DIR STORE

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/longshore-server and bin/longshore-worker
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o $(BIN)/longshore-server ./cmd/server
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o $(BIN)/longshore-worker ./cmd/worker

.PHONY: reproducible
reproducible: ## Build twice, in two places, and fail unless the programs are the same
	@scripts/reproducible '$(VERSION)' '$(COMMIT)'

$(BIN)/cyclonedx-gomod: tools/sbom/go.mod tools/sbom/go.sum
	cd tools/sbom && $(GO) build -trimpath -buildvcs=false -o ../../$@ github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod

.PHONY: sbom
sbom: build $(BIN)/cyclonedx-gomod ## Write what is in each program, as CycloneDX, to bin/*.cdx.json
	@scripts/sbom $(BIN)/cyclonedx-gomod '$(VERSION)' $(BIN)/longshore-server $(BIN)/longshore-worker

.PHONY: generate
generate: ## Write the code that comes from api/openapi.yml
	$(GO) tool oapi-codegen -config internal/api/oapi/generate.yml api/openapi.yml
	$(GO) tool oapi-codegen -config client/generate.yml api/openapi.yml

.PHONY: verify
verify: ## Fail if generated code, formatting or go.mod is not what it should be
	@scripts/verify

# The linter is built from the version that tools/go.mod pins.
$(BIN)/golangci-lint: tools/go.mod tools/go.sum
	cd tools && $(GO) build -trimpath -buildvcs=false -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

.PHONY: verify-deploy
verify-deploy: build ## Check what deploy/ has (installs systemd's tools if it can)
	@scripts/verify-deploy $(BIN)/longshore-server

.PHONY: lint
lint: $(BIN)/golangci-lint ## Run the linters, tests included
	$(BIN)/golangci-lint run ./...
	@for module in $(NESTED); do (set -x; cd $$module && $(CURDIR)/$(BIN)/golangci-lint run --config $(CURDIR)/.golangci.yml ./...); done

.PHONY: test
test: ## Run every test with the race detector (installs PostgreSQL if it can)
	@scripts/postgres pgbouncer
	@GO='$(GO)' scripts/test $(NESTED)
	$(GO) test -run 'Budget$$' ./internal/api ./internal/queue/embedded

# -short leaves out those tests of other packages that want a PostgreSQL.
.PHONY: test-embedded
test-embedded: ## Run the tests that need no PostgreSQL
	packages=$$($(GO) list ./... | grep -v '/internal/queue/postgres\(/\|$$\)'); \
		$(GO) test -race -short -shuffle=on -timeout 15m $$packages
	@for module in $(NESTED); do (set -x; cd $$module && $(GO) test -race -short -shuffle=on -timeout 15m ./...); done

.PHONY: fuzz-short
fuzz-short: ## Run every fuzz target for a few seconds (FUZZTIME=5s)
	@GO=$(GO) scripts/fuzz-short $(FUZZTIME)

.PHONY: demo
demo: build ## Watch it work: count the source files of DIR= while workers and server are killed (STORE=postgres: two servers)
	@CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -o $(BIN)/longshore-demo ./examples/demo
	@$(BIN)/longshore-demo -server $(BIN)/longshore-server -worker $(BIN)/longshore-worker -store "$$STORE" -dir "$$DIR"

.PHONY: demos
demos: demo ## Watch it work on disk, and then on PostgreSQL
	@$(MAKE) --no-print-directory demo STORE=postgres

.PHONY: bench
bench: bench-programs ## Run the benchmarks (BENCH=regexp, BENCHCOUNT=1)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(BENCHCOUNT) -timeout 30m ./internal/queue/...
	$(BIN)/longshore-bench $(BENCHPROGRAMS) --json bench/results/longshore.json $(BENCHFLAGS)

# The program in bench/, and what it measures: the server, and Faktory's, which is built from its module.
BENCHPROGRAMS = --server $(BIN)/longshore-server --faktory $(BIN)/faktory

.PHONY: bench-programs
bench-programs: build
	cd bench && CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -o ../$(BIN)/longshore-bench .
	cd bench && CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -o ../$(BIN)/faktory github.com/contribsys/faktory/cmd/faktory

.PHONY: bench-peers
bench-peers: bench-programs ## Compare with other systems and with the limits of this machine, and write docs/performance/peers.md
	@scripts/postgres
	@scripts/peers
	$(BIN)/longshore-bench $(BENCHPROGRAMS) --only peers --repeat 3 --duration 700ms --warm-up 200ms \
		--json bench/results/peers.json --docs docs/performance/peers.md $(BENCHFLAGS)

.PHONY: bench-growth
bench-growth: bench-programs ## Measure what grows with what, and write docs/performance/growth.md
	$(BIN)/longshore-bench $(BENCHPROGRAMS) --only growth,payload --repeat 3 --duration 700ms --warm-up 200ms --waiters 15000 \
		--json bench/results/growth.json --docs docs/performance/growth.md $(BENCHFLAGS)

.PHONY: bench-where
bench-where: bench-programs ## Profile the server under the main workloads, and write docs/performance/where.md
	@scripts/postgres
	@for store in embedded postgres; do \
		$(BIN)/longshore-bench $(BENCHPROGRAMS) --store $$store --only enqueue,cycle,batches,wake --repeat 1 --duration 4s --warm-up 500ms \
			--profile bench/results/profiles/$$store $(BENCHFLAGS) > /dev/null; \
	done
	$(BIN)/longshore-bench where --embedded bench/results/profiles/embedded --postgres bench/results/profiles/postgres --docs docs/performance/where.md

.PHONY: bench-docs
bench-docs: bench-peers bench-growth bench-where ## Write all pages of docs/performance

# What bench-compare compares with, which packages have the benchmarks, and how long each runs.
REF =
BENCHPACKAGES = internal/api internal/queue/embedded
BENCHTIME = 500ms

$(BIN)/benchstat: tools/go.mod tools/go.sum
	cd tools && $(GO) build -trimpath -buildvcs=false -o ../$@ golang.org/x/perf/cmd/benchstat

.PHONY: bench-compare
bench-compare: $(BIN)/benchstat ## Compare benchmarks of HTTP and engine with those of REF= (BENCH=regexp, BENCHCOUNT=6)
	@GO='$(GO)' BENCH='$(BENCH)' BENCHPACKAGES='$(BENCHPACKAGES)' BENCHTIME='$(BENCHTIME)' \
		BENCHCOUNT='$(if $(filter command line environment,$(origin BENCHCOUNT)),$(BENCHCOUNT),6)' scripts/bench-compare '$(REF)'

# The demos wait more than they compute, and building twice computes.
.PHONY: ci
ci: ## What continuous integration runs: verify, lint, test, fuzz-short, demo on both stores, reproducible, sbom, verify-deploy
	@for target in verify lint test fuzz-short "--jobs=2 --output-sync=target demos reproducible" sbom verify-deploy; do \
		echo "=== make $$target"; start=$$SECONDS; \
		$(MAKE) --no-print-directory $$target; \
		echo "=== make $$target: done in $$((SECONDS - start)) s"; \
	done

.PHONY: clean
clean: ## Remove what was built
	rm -rf $(BIN) bench/results
