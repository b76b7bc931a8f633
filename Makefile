# Every step installs what it needs (Debian or Ubuntu) and says what it does; a second run starts at once. CARGO_TARGET_DIR is respected.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.NOTPARALLEL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
export CARGO_TARGET_DIR := $(TARGET)
export MILLSTREAM := $(TARGET)/release/millstream

APP := plugins/word-count/millstream.toml
APP_PLUGINS := plugins/words

# Workspaces of their own, with tests that need neither Wasm nor the host.
GUEST_WORKSPACES := $(wildcard plugins/Cargo.toml guest-sdk/rust/Cargo.toml)
GO_MODULES := $(patsubst %/go.mod,%,$(wildcard guest-sdk/go/go.mod plugins/*/go.mod))

# Tests are told apart by their name: kafka_* (and all of host/kafka) need a broker, sim* is the fault simulator, all others run anywhere.
tests_in = $(notdir $(basename $(wildcard $(1:=/*.rs))) $(patsubst %/main.rs,%,$(wildcard $(1:=/*/main.rs))))
TESTS := $(call tests_in,tests/tests host/tests $(wildcard host/*/tests))
ADAPTER_TESTS := $(call tests_in,host/kafka/tests)
KAFKA_TESTS := $(filter kafka_%,$(TESTS))
SIM_TESTS := $(filter sim%,$(TESTS))
UNIT_TESTS := $(sort $(filter-out $(ADAPTER_TESTS) $(KAFKA_TESTS) $(SIM_TESTS),$(TESTS)))

# Always the whole workspace in one profile: another selection of packages can mean other features, and then librdkafka and RocksDB
# are compiled once more (20 minutes).
EVERYTHING := --release --workspace --features millstream-kafka/broker-tests,millstream-tests/kafka,millstream-tests/wasm
CARGO_TEST := cargo test $(EVERYTHING)

INPUT ?= README.md
SEEDS ?= 2000
export SEEDS SEED

# Of `make bench`: empty means all of them, and full size.
WORKLOADS ?=
ENGINES ?=
GUARANTEES ?=
RUNS ?= 3
SCALE ?= 1
KEEP ?=
BROKER_CORES ?=
ENGINE_CORES ?=
DIRECTORY ?= $(TARGET)/bench
option = $(if $(2),--$(1) $(2))
BENCH := $(TARGET)/release/bench --directory $(DIRECTORY)

.PHONY: help run run-kafka setup build plugins test unit sim e2e check bench bench-languages bench-smoke clean

help: ## list the targets, in the order a newcomer needs them
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## word count without a broker, over real text: INPUT=path (default README.md)
	@.ci/install rust
	.ci/install guest & installing=$$! # apt-get or rustup work while cargo does
	[ -x $(MILLSTREAM) ] || echo "building the host without librdkafka and RocksDB: 4 to 6 minutes on two cores, once"
	cargo build --release -p millstream --no-default-features
	wait $$installing
	$(MILLSTREAM) build $(APP_PLUGINS)
	$(MILLSTREAM) dev $(APP) --input TextLinesTopic=$(INPUT) --lines --print WordsWithCountsTopic --format value=long

run-kafka: build ## the same application on a real broker, with RocksDB; Ctrl-C ends it (FOR=30s: by itself)
	@.ci/install guest java
	$(MILLSTREAM) build $(APP_PLUGINS)
	tests/kafka/word-count.sh $(APP) $(INPUT) $(FOR)

setup: ## install all that build and test need
	@.ci/install all

build: ## the host, with everything
	@.ci/install rust host
	compgen -G '$(TARGET)/release/deps/librocksdb*.rlib' >/dev/null \
		|| echo "building the host: about 20 minutes on two cores, half of it RocksDB, once"
	cargo build $(EVERYTHING)

plugins: build ## every sample plugin, as a component
	@.ci/install guest javascript python go c
	$(MILLSTREAM) build plugins
	$(MILLSTREAM) build plugins/mixed

test: setup check unit sim bench-smoke e2e ## everything, real Kafka included

unit: plugins ## what needs no broker: units, whole topologies with real plugins, the rules of the house
	@for workspace in $(GUEST_WORKSPACES); do echo "testing $$workspace"; cargo test --release --manifest-path $$workspace; done
	$(MILLSTREAM) test plugins
	(cd guest-sdk/js && npm test --silent)
	(cd guest-sdk/python && PYTHONPATH=src python3 -m unittest discover tests)
	.ci/install mypy
	.ci/python-types
	for module in $(GO_MODULES); do echo "testing $$module"; (cd $$module && go vet ./... && go test ./...); done
	$(MAKE) -C guest-sdk/c/tests
	$(CARGO_TEST) --lib --bins $(addprefix --test ,$(UNIT_TESTS))

sim: build ## seeded faults at every step of a commit: SEEDS=n (default 2000), SEED=x repeats one
	@[ -n "$(SIM_TESTS)" ] || { echo "make sim: there is no tests/tests/sim*.rs"; exit 1; }
	$(CARGO_TEST) $(addprefix --test ,$(SIM_TESTS)) -- --nocapture

e2e: plugins ## against a real broker: exactly-once under SIGKILL, restarts, restore, Java's eyes
	@[ -n "$(KAFKA_TESTS)" ] || { echo "make e2e: there is no tests/tests/kafka_*.rs"; exit 1; }
	.ci/install java
	broker="tests/kafka/broker.sh"; dir="--dir $(TARGET)/broker-of-adapter-tests"
	trap '$$broker wipe $$dir' EXIT
	$$broker wipe $$dir
	export MILLSTREAM_TEST_BROKERS # for host/kafka/tests; kafka_* start brokers of their own, which they kill
	MILLSTREAM_TEST_BROKERS="$$($$broker start $$dir --port auto --quick --with-process $$$$)"
	$(CARGO_TEST) $(addprefix --test ,$(ADAPTER_TESTS))
	$(CARGO_TEST) $(addprefix --test ,$(KAFKA_TESTS)) -- --test-threads 1

check: ## formatting, lints and the rules of the house
	@.ci/install rust host
	cargo fmt --all --check
	cargo clippy $(EVERYTHING) --all-targets -- -D warnings
	for workspace in $(GUEST_WORKSPACES); do cargo fmt --all --check --manifest-path $$workspace; done
	.ci/install go
	unformatted="$$(gofmt -l $(GO_MODULES))"; [ -z "$$unformatted" ] || { echo "run gofmt -w on $$unformatted"; exit 1; }
	$(CARGO_TEST) --test tidy
	if cargo deny --version >/dev/null 2>&1; then cargo deny check bans licenses sources; else echo "cargo deny is not installed: deny.toml was not checked"; fi

bench: plugins ## beside Kafka Streams and others: WORKLOADS=W1,W3 ENGINES=.. GUARANTEES=.. RUNS=3 SCALE=0.1 (all and full size: hours)
	@.ci/install java bench
	$(MILLSTREAM) build bench/languages
	$(BENCH) --results bench --runs $(RUNS) --scale $(SCALE) $(call option,workloads,$(WORKLOADS)) $(call option,engines,$(ENGINES)) \
		$(call option,guarantees,$(GUARANTEES)) $(call option,broker-cores,$(BROKER_CORES)) $(call option,engine-cores,$(ENGINE_CORES)) \
		$(if $(KEEP),--keep)

bench-languages: plugins ## what a record costs inside a plugin of each language, and of one without an SDK: bench/LANGUAGES.md
	$(MILLSTREAM) build bench/languages
	cargo build $(EVERYTHING) --example measure
	bench/languages/table.sh $(TARGET)/release/examples/measure bench/languages bench/LANGUAGES.md

bench-smoke: plugins ## whether the outputs of the bench are right, with few records: a minute
	@.ci/install java bench
	$(BENCH) --check-only --runs 1 --scale 0.002 --workloads W1,W2,W3,W4,W7 --guarantees exactly-once-v2 \
		--engines millstream,millstream-native,kafka-streams,librdkafka

clean: ## delete what was built here, and the broker of run-kafka; what was fetched and installed stays
	@tests/kafka/broker.sh wipe
	rm -rf .millstream plugins/target
	cargo clean
