# `make help` lists every task.
PYTHON ?= python3
PORT ?= 8000
VENV ?= .venv
BIN := $(VENV)/bin
export PLEDGEWORKS_DATA ?= $(CURDIR)/var

.DEFAULT_GOAL := help
.PHONY: help install run test lint compiled bench figures clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

run: $(VENV)/.installed ## Start everything with the demo on http://127.0.0.1:$(PORT)
	@$(BIN)/pledgeworks up --port $(PORT)

install: $(VENV)/.installed ## Only install

test: $(VENV)/.installed-dev ## Install what tests need, and run them all
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-dev ## ruff, mypy, import-linter, djlint, squawk
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/djlint templates --lint --quiet
	$(BIN)/python -m core.db.check_migrations

compiled: $(VENV)/.installed-dev ## Compile the scheduler's core path; what starts from then on uses it
	$(BIN)/python -m compute.compiling

bench: $(VENV)/.installed-dev ## Run every benchmark and print its table
	$(BIN)/python -m bench

figures: $(VENV)/.installed-dev ## Reproduce the scheduler's figures (the traces are in PLEDGEWORKS_SHARED); takes most of an hour
	@$(BIN)/python -m bench.figures

clean: ## Remove the virtual environment and caches; never the data folder
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache test-results *.egg-info

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "Pledgeworks needs Python 3.11 or newer; there is no $(PYTHON) here. Install it, or name it: make PYTHON=/path/to/python3.11."; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Pledgeworks needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -c 'import platform; print(platform.python_version())'). Name a newer one: make PYTHON=/path/to/python3.11."; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) can't make virtual environments; on Debian and Ubuntu: apt-get install python3-venv."; exit 2; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt requirements-spec.txt $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-spec.txt
	@rm -rf $(VENV)/newest && $(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest $(VENV)/newest stripe
	@touch $@
