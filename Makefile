# SPDX-License-Identifier: MPL-2.0
#
# Everything a fresh Debian with Go, make and a C compiler needs is installed by
# the scripts below (scripts/deps.sh). The work itself is in scripts/, so that it
# can be read and run without make.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# Without cgo the binaries are static and every command below shares one build
# cache: the linked platform is some 2,600 packages, and compiling them twice
# would double the first ten minutes.
export CGO_ENABLED := 0
export GOFLAGS := -buildvcs=false

.PHONY: help
help: ## print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the server, the plugins and stock Vault into bin/ (10 minutes the first time)
	@scripts/build.sh

.PHONY: ui
ui: build ## build Vault's own web page and put it into the server (node 20; ten minutes the first time)
	@scripts/ui.sh
	@UI=required scripts/build.sh

.PHONY: release
release: ui ## pack what is released into dist/: the same bytes for the same revision (Go's version counts)
	@scripts/release.sh

.PHONY: reproduce
reproduce: ## make the release in dist/ once more in another folder, and compare
	@scripts/reproduce.sh

.PHONY: prepare
prepare: ## make the copy of Vault that go commands need for what links it (go vet ./..., go test ./host/...)
	@. scripts/prepare.sh

.PHONY: demo
demo: build ## watch a failover: two real servers, a kill, a promotion (under a minute)
	@scripts/demo.sh

.PHONY: walk
walk: build ## type each command of README.md and docs/runbook.md at real servers, and print what they print
	@scripts/walk.sh

.PHONY: test
test: ## check the format, vet, run all unit and integration tests
	@scripts/test.sh

.PHONY: test-ui
test-ui: build ## run the vendor's own tests of the web page in Chromium against a real server (node 20)
	@scripts/test-ui.sh

.PHONY: compare-ui
compare-ui: build ## run the vendor's tests of the community's pages on stock Vault and on a performance secondary
	@scripts/compare-ui.sh

.PHONY: walk-ui
walk-ui: ui ## click through the web page's replication of both modes in Chromium; screenshots in .cache/ui/walk
	@scripts/walk-ui.sh

.PHONY: upgrade
upgrade: build ## build the release before from its revision (OLD=...), and upgrade from it
	@scripts/upgrade.sh

.PHONY: fuzz
fuzz: ## run each fuzz test of the decoders for ten seconds (FUZZTIME=1m for longer)
	@scripts/fuzz.sh

.PHONY: lint
lint: ## run golangci-lint (built from source the first time)
	@scripts/lint.sh

.PHONY: proto
proto: ## generate the Go code of the .proto files again
	@scripts/proto.sh

.PHONY: bench
bench: build ## measure this build against stock Vault and PostgreSQL in one run, and renew the tables of the documents
	@scripts/bench.sh -json docs/benchmarks
	@go run ./integration/bench/page

.PHONY: bench-size
bench-size: build ## measure how figures grow up to a million keys and 10,000 mounts, and plot it (an hour and more)
	@scripts/bench.sh -sizes -json docs/benchmarks
	@go run ./integration/bench/page

.PHONY: clean
clean: ## remove what was built
	rm -rf bin .cache/ui
