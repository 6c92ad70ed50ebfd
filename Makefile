# The commands a person or CI needs. `make` alone tells what there is.
#
# On a clean machine `make test` needs Rust, Go, Python 3 (with venv), a C
# compiler, make and bash. It installs nothing outside the cache directory
# (SGWARDEN_CACHE, default ~/.cache/sgwarden) and the caches of cargo, go and pip.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help test test-setup rust-checks rust-tests fmt fmt-check lint rules bench bench-cluster crds verify

export SGWARDEN_CACHE ?= $(HOME)/.cache/sgwarden
# Outside the checkout, so that a fresh clone does not compile the AWS SDK again.
export CARGO_TARGET_DIR ?= $(SGWARDEN_CACHE)/target

help: ## say what the targets do
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

test: ## set up what is missing, check and test everything
	@tests/setup/say.sh "formatting, lints, all tests against a real kube-apiserver and our EC2 stand-in" \
		"the first time 20 to 40 minutes on two cores (Rust 10 to 20, Go 8 to 15, Python 1), later 2 to 10"
	@$(MAKE) --no-print-directory fmt-check
	@$(MAKE) --no-print-directory test-setup
	@$(MAKE) --no-print-directory rules
	@$(MAKE) --no-print-directory rust-checks
	@$(MAKE) --no-print-directory rust-tests

test-setup: ## only build what the tests run against: control plane, CRD judge, AWS CLI, moto
	@tests/controlplane/build.sh >/dev/null
	@tests/controlplane/oldest/build.sh >/dev/null
	@tests/setup/python.sh >/dev/null
	@tests/setup/moto.sh >/dev/null

# The fast verdicts first; the build before the tests, so that a compile error is not taken for a failed test. All of them
# build and none only checks: they share one build of the EC2 SDK, of which a check would make another of its own.
rust-checks: lint
	@tests/setup/say.sh "build without the AWS adapter and the EC2 stand-in" "under a minute, the first time two"
	cargo build --locked --no-default-features
	@tests/setup/say.sh "build everything" "about a minute, the first time two"
	cargo build --locked --all-targets

# The tests find the same places by themselves (tests/support/setup.rs) when cargo test is run by hand.
rust-tests:
	@tests/setup/say.sh "all tests" "some minutes"
	export SGWARDEN_ASSETS="$$(tests/controlplane/build.sh --where)" \
		SGWARDEN_CRD_JUDGE="$$(tests/controlplane/oldest/build.sh --where)" \
		SGWARDEN_PYTHON_BIN="$$(tests/setup/python.sh --where)" \
		SGWARDEN_MOTO_BIN="$$(tests/setup/moto.sh --where)"; \
	RUST_TEST_THREADS="$${RUST_TEST_THREADS:-6}" cargo test --locked

fmt: ## format all Rust and Go files
	cargo fmt
	gofmt -l -w tests/controlplane tests/promrules

fmt-check:
	cargo fmt --check
	@unformatted="$$(gofmt -l tests/controlplane tests/promrules)"; \
	if [ -n "$$unformatted" ]; then echo "not gofmt'd (make fmt does it): $$unformatted"; exit 1; fi

# What cargo clippy does, over a build in place of a check (see rust-checks). clippy-driver takes its arguments from the
# environment in cargo clippy's own notation.
lint: ## clippy over everything, warnings are errors
	@tests/setup/say.sh "lints, and with them the first build of all dependencies" "about a minute, the first time 8 to 15"
	RUSTC_WORKSPACE_WRAPPER="$$(rustc --print sysroot)/bin/clippy-driver" CLIPPY_ARGS="-Dwarnings__CLIPPY_HACKERY__" \
		cargo build --locked --all-targets

# What the expressions ask for is held to our metrics by tests/tidy; whether they are PromQL, only Prometheus knows.
rules: ## have Prometheus's own parser read the alerting rules and the dashboard
	@tests/setup/say.sh "alerting rules and dashboard, read by Prometheus's parser" "seconds, the first time a minute"
	cd tests/promrules && CGO_ENABLED=0 GOFLAGS=-mod=readonly go run . ../../deploy/monitoring/rules.yaml ../../deploy/monitoring/dashboard.json

# Without the AWS SDK, which the stand-in does not use and which would take as long again to compile for speed.
bench: ## measure what the engine, the EC2 stand-in and check cost: seconds, bytes and calls, as JSON lines
	@tests/setup/say.sh "release build without the AWS adapter, then the measurements" "two minutes, the first time 6"
	cargo bench --locked --no-default-features --features sim --bench check --bench engine --bench events --bench sim

# A debug build, whose EC2 SDK the tests have compiled already. What is measured is mostly waiting for others.
bench-cluster: ## measure what an edit takes until it is reverted, over a real apiserver, a real queue and the binary
	@tests/setup/say.sh "an edit's way over a real cluster, 200 times" "five minutes"
	cargo bench --locked --profile dev --bench cluster

crds: ## write crds/ from the Rust types
	cargo run --locked --quiet -- crds

verify: test ## everything: what a release has to pass
