# Skerry's build. `make help` lists what there is; nothing needs to be installed by hand besides Go and make.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# Static binaries, without the builder's paths, from one build cache for building, checking and testing.
export CGO_ENABLED := 0
# grpcnotrace leaves out gRPC's debugging pages, which nobody sees here and which cost 0.4 MB.
export GOFLAGS := $(strip $(GOFLAGS) -trimpath -buildvcs=false -tags=grpcnotrace)

# The version that kubectl reports of itself: that of the library it is built from.
KUBECTL_VERSION = v$(subst v0.,1.,$(shell go list -m -f '{{.Version}}' k8s.io/kubectl))
# skerry-guard has its version in a variable of its own: protocol/daemon would not fit into it.
LDFLAGS = -s -w -X github.com/skerry-edge/skerry/protocol/daemon.Version=$(VERSION) -X main.version=$(VERSION)
EDGECTL_LDFLAGS = $(LDFLAGS) -X k8s.io/component-base/version.gitVersion=$(KUBECTL_VERSION)

BINARIES := skerry-master skerry-agent skerry-log skerry-guard edgectl
PACKAGE_skerry-master := ./master
PACKAGE_skerry-agent := ./edgeagent
PACKAGE_skerry-log := ./edgeagent/logs/writer
PACKAGE_skerry-guard := ./edgeagent/guard/keeper
PACKAGE_edgectl := ./edgectl

TOOL := go tool -modfile=build/tools/go.mod

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: go-version
go-version:
	@build/need-go

.PHONY: build
build: go-version $(BINARIES:%=build-%) ## build the binaries for this machine into bin/

.PHONY: $(BINARIES:%=build-%)
$(filter-out build-edgectl,$(BINARIES:%=build-%)): build-%:
	go build -ldflags '$(LDFLAGS)' -o bin/$* $(PACKAGE_$*)
build-edgectl:
	@echo "building edgectl, which has all of kubectl in it: the first time takes minutes"
	go build -ldflags '$(EDGECTL_LDFLAGS)' -o bin/edgectl $(PACKAGE_edgectl)

ARCHITECTURES := amd64 arm64 armv7 armv6
GOENV_amd64 := GOARCH=amd64
GOENV_arm64 := GOARCH=arm64
GOENV_armv7 := GOARCH=arm GOARM=7
GOENV_armv6 := GOARCH=arm GOARM=6

.PHONY: build-all
build-all: go-version $(ARCHITECTURES:%=build-all-%) ## build static binaries for amd64, arm64, armv7 and armv6 into bin/<arch>/

.PHONY: $(ARCHITECTURES:%=build-all-%)
$(ARCHITECTURES:%=build-all-%): build-all-%:
	@mkdir -p bin/$*
	$(foreach b,$(filter-out edgectl,$(BINARIES)),$(GOENV_$*) go build -ldflags '$(LDFLAGS)' -o bin/$*/$(b) $(PACKAGE_$(b)) && ) true
	$(GOENV_$*) go build -ldflags '$(EDGECTL_LDFLAGS)' -o bin/$*/edgectl $(PACKAGE_edgectl)

.PHONY: deps
deps: ## install what demo and tests need (Debian packages, as root)
	@build/need-packages

# Where make install puts things; DESTDIR is for packages. BIN=bin/arm64 takes another board's binaries.
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR ?= $(PREFIX)/lib/systemd/system
BIN ?= bin
INSTALL = DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' SYSCONFDIR='$(SYSCONFDIR)' UNITDIR='$(UNITDIR)' BIN='$(BIN)' build/install

.PHONY: install
install: ## install what was built: binaries, units, config files, completion (PREFIX, SYSCONFDIR, DESTDIR)
	@$(INSTALL)

.PHONY: uninstall
uninstall: ## remove what install has put there, but no config that was changed and no data
	@$(INSTALL) uninstall

.PHONY: demo
demo: build ## a master, three nodes, a workload, a node lost, the workload moved; cleans up after itself
	@build/need-packages demo
	@go run ./test/demo -bin bin

.PHONY: measure-loss
measure-loss: build ## measure how long a workload is away when its node is lost; takes about six minutes, as root
	@build/need-packages demo
	@go run ./test/bench/loss -bin bin

.PHONY: check
check: go-version ## formatting, vet, linters, import directions, purity, generated files, known vulnerabilities
	@unformatted=$$(git ls-files '*.go' | xargs gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "not formatted (run gofmt -w):"; echo "$$unformatted"; exit 1; fi
	go mod verify
	@cp go.mod .go.mod.before; cp go.sum .go.sum.before; go mod tidy; \
	if ! cmp -s go.mod .go.mod.before || ! cmp -s go.sum .go.sum.before; then \
		mv .go.mod.before go.mod; mv .go.sum.before go.sum; echo "go.mod or go.sum is not tidy (run go mod tidy)"; exit 1; \
	fi; rm -f .go.mod.before .go.sum.before
	go run ./build/check
	go vet ./...
	$(TOOL) staticcheck ./...
	go run ./build/vuln

.PHONY: vuln
vuln: go-version ## look for known vulnerabilities in what Skerry is made of; fails without Go's database of them
	go run ./build/vuln -force

# For how long each target is fuzzed: 10s, or 1000000x for so many inputs. Their seeds and all that was ever found are
# tried by every test run.
FUZZTIME ?= 10s

.PHONY: fuzz
fuzz: go-version ## fuzz all that reads what comes from outside, FUZZTIME each
	build/fuzz $(FUZZTIME)

# Tests that need the world outside (root, containerd, brokers, namespaces) run one package at a time, on the
# binaries that users get; all others run with the race detector, which needs a C compiler.
E2E := ./test/e2e/... ./test/conformance/... ./test/arm/... ./test/systemd/... ./test/thousand/...
RACE = $(shell go list ./... | grep -v -e /test/e2e -e /test/conformance -e /test/arm -e /test/systemd -e /test/thousand -e /edgectl)

.PHONY: test
test: build ## run every test, unit to end-to-end; installs what it lacks, ends with a count
	@build/need-packages
	@build/need-old-kubectl
	@build/need-etcd
	@status=0; SKERRY_BIN=$(CURDIR)/bin $(TOOL) gotestsum --format pkgname --hide-summary skipped --raw-command -- \
		build/test-json '$(RACE)' '$(E2E)' || status=$$?; cat .build/not-tested; exit $$status

.PHONY: test-unit
test-unit: go-version ## run only the tests that need neither root nor any package
	go test ./protocol/... ./master/... ./edgeagent/... ./build/... ./test/sim/...

# How many seeds a night plays, from which on, and for how many hours at most; chunks that are done are not played again.
SIM_SEEDS ?= 10000
SIM_FIRST ?= 1
SIM_HOURS ?= 8

.PHONY: sim-nightly
sim-nightly: go-version ## play SIM_SEEDS seeds of the simulation from SIM_FIRST on, a process a core; goes on where it stopped
	@build/sim-nightly $(SIM_FIRST) $(SIM_SEEDS) $(SIM_HOURS)

.PHONY: test-arm
test-arm: go-version ## run the unit tests that hold for boards as programs for ARM, under qemu-user
	@build/need-packages
	@build/test-arm

.PHONY: clean
clean: ## remove what was built
	rm -rf bin .build
