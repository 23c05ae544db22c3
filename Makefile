.DEFAULT_GOAL := help
BIN := .venv/bin
SCALE ?= 0.2

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup:  ## make .venv and install everything the lock names
	@tools/setup

demo: setup  ## the whole loop on a simulated retailer, from raw files to a served, replayed prediction (SCALE=0.2)
	@$(BIN)/inseam demo demo --scale $(SCALE)

test: setup  ## every test
	@tools/setup --tests
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test-fast: setup  ## the tests that take seconds
	@$(BIN)/python -m pytest -m "not slow"

check: setup  ## format, lint, types, architecture, then every test
	@$(BIN)/ruff format --check src tests bench
	@$(BIN)/ruff check src tests bench
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(MAKE) --no-print-directory test

fix: setup  ## format and mend what can be mended
	@$(BIN)/ruff format src tests bench
	@$(BIN)/ruff check --fix src tests bench

bench: setup  ## every benchmark, beside the raw engines (see bench/README.md)
	@$(BIN)/python -m bench --quick

reference: setup  ## write docs/reference anew from the code
	@$(BIN)/python tools/reference

lock: setup  ## resolve requirements.lock anew
	@$(BIN)/uv pip compile pyproject.toml --extra ml --extra tracking --extra serve --extra postgres --extra redis --extra objects --group dev \
		--universal --no-annotate --no-header --no-emit-index-url --upgrade -q -o requirements.lock

.PHONY: help setup demo test test-fast check fix bench reference lock
