# Only Go and make are assumed. Everything else is a Go module at a pinned
# version: libraries in go.mod and lane/**/go.mod, programs in tools/go.mod.

MODULES := . lane lane/disconf lane/navi lane/zookeeper tools
TOOL    := go tool -modfile=$(CURDIR)/tools/go.mod

# The race detector needs a C compiler; without one the tests run without it.
CC   := $(shell go env CC)
RACE := $(if $(and $(filter 1,$(shell go env CGO_ENABLED)),$(shell command -v $(firstword $(CC)))),-race)

# How often each benchmark runs; the median is what counts.
COUNT ?= 5

# The faults of make drill, as abt2 drill names them; empty: none.
FAULTS ?= all

.DEFAULT_GOAL := help
.PHONY: help demo drill build test lint unit cross bench bench-edge generate clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## release the shop before your eyes; KEEP=1 leaves it running
	@go build -o bin/demo ./examples/demo
	@bin/demo $(if $(KEEP),-keep)

drill: ## switch the shop back and forth under load and faults, 4 minutes; FULL=1: half an hour, recorded in docs/benchmarks.md
	@go build -o bin/demo ./examples/demo
	@rm -f bin/drill.json
	bin/demo -drill -faults=$(FAULTS) $(if $(FULL),-full) -report=$(CURDIR)/bin/drill.json; status=$$?; \
	$(if $(FULL),if [ -e bin/drill.json ]; then go -C tools run ./benchreport -o $(CURDIR)/docs/benchmarks.md -drill $(CURDIR)/bin/drill.json || exit; fi;) \
	exit $$status

build: ## bin/abt2
	go build -o bin/abt2 ./cmd/abt2

test: lint unit cross ## everything that must hold before a change lands
	go build -o bin/demo ./examples/demo
	bin/demo -short

lint: ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l $(MODULES) | sort -u); \
	if [ -n "$$unformatted" ]; then echo "gofmt these files:"; echo "$$unformatted"; exit 1; fi
	$(foreach m,$(MODULES),go -C $(m) vet ./...$(newline))
	$(foreach m,$(MODULES),cd $(m) && $(TOOL) staticcheck ./...$(newline))

unit: ## tests of all modules, with the race detector where there is a C compiler
	@$(if $(RACE),true,echo "no C compiler ($(CC)): testing without the race detector")
	$(foreach m,$(MODULES),go -C $(m) test $(RACE) -timeout 30m ./...$(newline))

cross: ## compile for the other systems we promise
	$(foreach m,$(filter-out tools,$(MODULES)),GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 go -C $(m) build ./...$(newline))
	$(foreach m,$(filter-out tools,$(MODULES)),GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 go -C $(m) vet ./...$(newline))
	$(foreach m,$(filter-out tools,$(MODULES)),GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go -C $(m) build ./...$(newline))

bench: ## measure, and write docs/benchmarks.md
	@mkdir -p bin
	go -C lane test -run '^$$' -bench . -benchmem -count $(COUNT) ./... > bin/bench.txt || { cat bin/bench.txt; exit 1; }
	go -C lane/navi test -run '^$$' -bench . -benchmem -count $(COUNT) ./... >> bin/bench.txt || { cat bin/bench.txt; exit 1; }
	go test -run '^$$' -bench . -benchmem -count $(COUNT) ./internal/... >> bin/bench.txt || { cat bin/bench.txt; exit 1; }
	go test -run '^$$' -bench . -benchtime 2x ./examples/demo >> bin/bench.txt || { cat bin/bench.txt; exit 1; }
	go -C tools run ./benchreport -o $(CURDIR)/docs/benchmarks.md $(CURDIR)/bin/bench.txt

bench-edge: ## compare the edges with gateways that only pass requests on, and time their switches
	go test -run '^$$' -bench Throughput -benchtime 5x ./internal/driver/all
	go test -run '^$$' -bench Flips -benchtime 300x ./internal/driver/...

generate: ## protocol code and the command reference
	GOBIN=$(CURDIR)/bin go -C tools install tool
	PATH=$(CURDIR)/bin:$$PATH bin/buf generate
	cd examples/shop && PATH=$(CURDIR)/bin:$$PATH $(CURDIR)/bin/buf generate
	go generate ./...

clean: ## remove what was built
	rm -rf bin

# A recipe line for each turn of a foreach.
define newline


endef
