# Two commands are all that a new user needs: `make run` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1
export PYTHONUNBUFFERED = 1

.PHONY: help run test install install-dev lint format e2e real slow postgres bench browser clean

help: ## What can be made here
	@grep -E '^[a-z0-9-]+:.*##' Makefile | sed 's/:.*##/\t/'

$(VENV)/.installed: requirements.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing (a few minutes the first time) …"
	@$(BIN)/python -m pip install --quiet --requirement requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	@touch $@

install: $(VENV)/.installed ## The virtual environment with everything the product runs on
install-dev: $(VENV)/.installed-dev ## … and the tools

run: install ## Everything up on this machine: prints the address and the login
	@exec $(BIN)/python manage.py up

test: install-dev ## The quick tests, under ten minutes
	@$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile

slow: install-dev ## The tests that take minutes
	@$(BIN)/python -m pytest -m "slow and not e2e and not real_data"

real: install-dev ## The tests on real images; needs INSPECTION_DATA_DIR
	@$(BIN)/python -m pytest -m real_data

postgres: install-dev ## The tests of records and messages on PostgreSQL and a Redis server
	@sh scripts/test_on_servers.sh

browser:
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || sh scripts/install_chromium.sh

e2e: install-dev browser ## The browser suite
	@$(BIN)/python -m pytest -m e2e

lint: install-dev ## Format, lint, types, import rules, Django's own checks, migrations
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports
	@$(BIN)/mypy
	@INSPECTION_VAR_DIR=$$(mktemp -d) SECRET_KEY=$$(head -c 48 /dev/urandom | base64) BEHIND_TLS=1 $(BIN)/python manage.py check --deploy --fail-level WARNING
	@INSPECTION_VAR_DIR=$$(mktemp -d) $(BIN)/python manage.py makemigrations --check --dry-run
	@INSPECTION_VAR_DIR=$$(mktemp -d) $(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null
	@if command -v node >/dev/null; then node --test tests/js/; fi

format: install-dev ## Rewrites the code in the house's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: install-dev browser ## Measures what docs/benchmarks.md says
	@$(BIN)/python -m tests.benchmarks --write

clean: ## Removes the virtual environment; var/ (your records) stays
	rm -rf $(VENV)
