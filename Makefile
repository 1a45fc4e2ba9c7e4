# Everything a contributor runs. `make help` explains the targets; what a target needs, it makes or installs.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

TOOLS := $(CURDIR)/.tools
# The newest release of v2 that was looked at; its own directory, so that a new pin never meets an old binary.
GOLANGCI_VERSION := v2.15.0
GOLANGCI := $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)/golangci-lint

GOARCH := $(shell go env GOARCH)
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# Two packages at a time: each starts runtimes and servers of its own, and more of them only wait for each other.
TEST_FLAGS ?= -race -p 2 -timeout 25m
# Per fuzz target, two at a time.
FUZZTIME ?= 20s

# A clone that another user owns must build too; the version comes from VERSION instead.
export GOFLAGS ?= -buildvcs=false
export PATH := $(TOOLS)/venv/bin:$(PATH)

.PHONY: help
help: ## Explain every target
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: stage1 ## Build bin/hotaru
	@echo "build: bin/hotaru $(VERSION)"
	@go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/hotaru ./cmd/hotaru

.PHONY: stage1
stage1: ## Build the init program of a sandbox, which the binary embeds
	@if [ -d sandbox/namespace/stage1 ]; then \
		echo "stage1: sandbox/namespace/bin/stage1-linux-$(GOARCH)"; \
		CGO_ENABLED=0 GOOS=linux go build -trimpath -ldflags "-s -w" \
			-o sandbox/namespace/bin/stage1-linux-$(GOARCH) ./sandbox/namespace/stage1; \
	fi

.PHONY: generate
generate: ## Write generated code and docs/compat.md again
	@echo "generate: service models"
	@HOTARU_AWS_DATA="$$(scripts/models.sh)" go generate ./...
	@if [ -d internal/compatdoc ]; then echo "generate: docs/compat.md"; go run ./internal/compatdoc; fi

.PHONY: verify
verify: deps stage1 ## Fail on drift: generated code, docs/compat.md, go.mod, formatting
	@echo "verify: formatting"
	@unformatted="$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go' 2>/dev/null || find . -name '*.go' -not -path './.*'))"; \
	if [ -n "$$unformatted" ]; then echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	@echo "verify: go.mod and go.sum"
	@go mod tidy -diff || { echo "run go mod tidy"; exit 1; }
	@echo "verify: generated files"
	@scripts/drift.sh

.PHONY: lint
lint: stage1 $(GOLANGCI) ## Run golangci-lint (pinned, kept in .tools)
	@echo "lint: golangci-lint $(GOLANGCI_VERSION)"
	@$(GOLANGCI) run ./...

.PHONY: fmt
fmt: $(GOLANGCI) ## Format the code: gofmt, and imports in three groups
	@$(GOLANGCI) fmt

$(GOLANGCI):
	@echo "lint: building golangci-lint $(GOLANGCI_VERSION), once (two minutes on two cores)"
	@GOBIN=$(dir $(GOLANGCI)) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)

.PHONY: test
test: deps build ## Run all tests with the race detector, then e2e (as root: all; else some say why they skip)
	@echo "test: go test $(TEST_FLAGS)"
	@go test $(TEST_FLAGS) $$(go list ./... | grep -v '/e2e')
	@$(MAKE) e2e

.PHONY: e2e
e2e: deps build ## Drive bin/hotaru with AWS's own clients: the CLI and SDKs of four languages
	@if [ -d e2e ]; then echo "e2e: $$(aws --version 2>&1)"; go test -timeout 20m ./e2e/...; fi

.PHONY: fuzz
fuzz: stage1 ## Run every fuzz target for FUZZTIME (20s), two at a time
	@FUZZTIME=$(FUZZTIME) scripts/fuzz.sh

.PHONY: bench
bench: build ## Measure everything that has a target, with its baseline (as root; some minutes); BENCH="-only cold,warm" for a part
	@go run ./bench $(BENCH)

.PHONY: leaks
leaks: stage1 ## Look for leaks after 10,000 invocations and 500 environments (as root; some minutes)
	@HOTARU_LEAKS=50 go test -count=1 -timeout 30m -run TestLeaks -v ./daemon | grep -v harness_test

.PHONY: demo
demo: build ## Start Hotaru, deploy a function and invoke it, step by step
	@go run ./demo

.PHONY: deps
deps: ## Install what tests need and this machine lacks (apt-get, pip, npm, Maven)
	@scripts/deps.sh

.PHONY: clean
clean: ## Remove everything that the targets made
	rm -rf bin .tools bench/out sandbox/namespace/bin/stage1-*
