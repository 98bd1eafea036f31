# Everything a person or a CI job calls. `make help` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash -euo pipefail
PYTHON ?= python3
BIN := .venv/bin
# The cells of `make demo`: three that work, of three architectures and dtypes, and a known failure.
DEMO := --cell 'cpu__*__synthetic-llama__bfloat16' --cell 'cpu__*__synthetic-gemma3__float32' \
        --cell 'cpu__*__synthetic-mistral__float16' --cell 'cpu__*__context-too-long'

.PHONY: help setup demo smoke smoke-docker test lint bench clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/complete ## make .venv from the locked requirements

.venv/complete: requirements/dev.lock pyproject.toml
	@echo "setup: installing locked requirements into .venv"
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "needs Python 3.11 or newer"'
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.lock | \
	    awk '/^Collecting/ && ++n % 20 == 0 {print "setup: " n " packages found"; fflush()} /^Installing/ {print "setup: installing them"}'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## a handful of cells on a real vLLM, without Docker, GPU or model hub
	@$(BIN)/pytest -m cpu --matrix matrices/smoke.yaml $(DEMO)

smoke: setup ## the whole smoke matrix on a real vLLM in a virtual environment
	@$(BIN)/pytest -m cpu --matrix matrices/smoke.yaml -n 2

smoke-docker: setup ## the same in containers of the image that scripts/images builds
	@scripts/images vllm
	@$(BIN)/pytest -m cpu --matrix matrices/smoke.yaml -n 2 --engine docker --image hwval/vllm-cpu:0.32.0

test: setup ## the project's own tests; those on Docker run where a daemon answers
	@if docker info >/dev/null 2>&1; then scripts/images fake; fi
	@$(BIN)/pytest -n 2

lint: setup ## formatting, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench: setup ## the figures of docs/figures.md that need no further files
	@for benchmark in benchmarks/*.py; do echo "== $$benchmark"; PYTHONPATH=. $(BIN)/python $$benchmark || echo "exit status $$?"; done

clean: ## remove what was made here; caches of models and environments stay
	rm -rf .venv results dist .pytest_cache .mypy_cache .ruff_cache
