# Every step installs what it needs (Debian or Ubuntu) and says what it does; a second run starts at once. CARGO_TARGET_DIR is respected.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
export CARGO_TARGET_DIR := $(TARGET)
export MILLSTREAM := $(TARGET)/release/millstream

APP := plugins/word-count/millstream.toml
APP_PLUGINS := plugins/words
PLUGINS := $(patsubst %/Cargo.toml,%,$(wildcard plugins/*/Cargo.toml))

# Workspaces of their own, with tests that need neither Wasm nor the host.
GUEST_WORKSPACES := $(wildcard plugins/Cargo.toml guest-sdk/rust/Cargo.toml)

# Tests are told apart by their name: kafka_* needs a broker, sim* is the fault simulator, all others run anywhere.
TEST_DIRS := tests/tests host/tests $(wildcard host/*/tests)
TESTS := $(notdir $(basename $(wildcard $(TEST_DIRS:=/*.rs))) $(patsubst %/main.rs,%,$(wildcard $(TEST_DIRS:=/*/main.rs))))
KAFKA_TESTS := $(filter kafka_%,$(TESTS))
SIM_TESTS := $(filter sim%,$(TESTS))
UNIT_TESTS := $(filter-out $(KAFKA_TESTS) $(SIM_TESTS),$(TESTS))

# Always the whole workspace in one profile: another selection of packages can mean other features, and then librdkafka and RocksDB
# are compiled once more (20 minutes).
CARGO_TEST := cargo test --release --workspace

INPUT ?= README.md
SEEDS ?= 2000
export SEEDS SEED

.PHONY: help run run-kafka setup build plugins test unit sim e2e check clean

help: ## list the targets, in the order a newcomer needs them
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## word count without a broker, over real text: INPUT=path (default README.md)
	@.ci/install rust
	echo "building the host without librdkafka and RocksDB (stores in memory)"
	.ci/install guest & installing=$$! # apt-get or rustup work while cargo does
	cargo build --release -p millstream --no-default-features
	wait $$installing
	$(MAKE) $(addprefix plugin/,$(APP_PLUGINS))
	$(MILLSTREAM) dev $(APP) --input TextLinesTopic=$(INPUT) --lines --print WordsWithCountsTopic --format long

run-kafka: ## the same application on a real broker, with RocksDB; Ctrl-C ends it (FOR=30s: by itself)
	@.ci/install java & installing=$$!
	$(MAKE) build
	wait $$installing
	$(MAKE) $(addprefix plugin/,$(APP_PLUGINS))
	tests/kafka/word-count.sh $(APP) $(INPUT) $(FOR)

setup: ## install all that build and test need
	@.ci/install all

build: ## the host, with everything
	@.ci/install rust host
	echo "building the host; the first time takes about 20 minutes on two cores, half of it RocksDB"
	cargo build --release --workspace

plugins: build ## every sample plugin, as a component
	@.ci/install guest
	$(MAKE) $(addprefix plugin/,$(PLUGINS))

plugin/%: # one plugin directory; the host is built already
	@$(MILLSTREAM) build $*

test: ## everything, real Kafka included
	@started=$$SECONDS
	$(MAKE) setup
	$(MAKE) check
	$(MAKE) plugins
	$(MAKE) unit
	$(MAKE) sim
	$(MAKE) e2e
	echo "all tests passed in $$((SECONDS - started)) s" >&2

unit: ## what needs no broker: units, whole topologies with real plugins, the rules of the house
	@$(CARGO_TEST) --lib --bins $(addprefix --test ,$(UNIT_TESTS))
	for workspace in $(GUEST_WORKSPACES); do echo "testing $$workspace"; cargo test --release --manifest-path $$workspace; done

sim: ## seeded faults at every step of a commit: SEEDS=n (default 2000), SEED=x repeats one
	@[ -n "$(SIM_TESTS)" ] || { echo "make sim: there is no tests/tests/sim*.rs"; exit 1; }
	$(CARGO_TEST) $(addprefix --test ,$(SIM_TESTS)) -- --nocapture

e2e: ## against a real broker: exactly-once under SIGKILL, restarts, restore, Java's eyes
	@[ -n "$(KAFKA_TESTS)" ] || { echo "make e2e: there is no tests/tests/kafka_*.rs"; exit 1; }
	.ci/install java
	$(CARGO_TEST) $(addprefix --test ,$(KAFKA_TESTS)) -- --test-threads 1

check: ## formatting, lints and the rules of the house
	@.ci/install rust host
	cargo fmt --all --check
	cargo clippy --release --workspace --all-targets -- -D warnings
	for workspace in $(GUEST_WORKSPACES); do cargo fmt --all --check --manifest-path $$workspace; done
	$(CARGO_TEST) --test tidy
	if cargo deny --version >/dev/null 2>&1; then cargo deny check bans licenses sources; else echo "cargo deny is not installed: deny.toml was not checked"; fi

clean: ## delete what was built here, and the broker of run-kafka; what was fetched and installed stays
	@tests/kafka/broker.sh wipe
	rm -rf .millstream plugins/target
	cargo clean
