# Every target works in a fresh clone: it makes .venv and installs what it needs, once.
# Overridable: PYTHON (the interpreter that makes .venv), TORCH (what pip installs first), WORKERS, ARGS.

PYTHON ?= python3
TORCH ?= torch==2.13.0
WORKERS ?= auto
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
RUNTIME := $(VENV)/runtime
RELEASE := $(VENV)/release
CONSTRAINTS := $(VENV)/constraints.txt
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
PROJECTS := $(wildcard packages/*/pyproject.toml)
MODELS := -e packages/quaterion-models

# One process per core and one thread per process: faster than one process with many threads, and no oversubscription.
TEST_ENV := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1
PYTEST := $(TEST_ENV) $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist worksteal -q

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-fast test-runtime check fmt api bench dist test-dist version clean request

help: ## list the targets (the default)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

demo: $(STAMPS)/demo ## fine-tune a real encoder on Python's standard library (ARGS="--query 'sort a list'")
	@$(BIN)/quaterion demo $(ARGS)

test: $(STAMPS)/test ## run all tests of all distributions, doctests included (ARGS="-k triplet")
	@$(PYTEST) $(ARGS)

test-runtime: $(STAMPS)/runtime ## install quaterion-runtime alone, without torch, and run its tests there
	@$(RUNTIME)/bin/python -m pytest -q -c packages/quaterion-runtime/pyproject.toml packages/quaterion-runtime $(ARGS)

test-fast: $(STAMPS)/test ## run the tests that are not marked slow
	@$(PYTEST) -m "not slow" $(ARGS)

check: $(STAMPS)/test ## lint, format check, types, import floors
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fmt: $(STAMPS)/test ## format the code and fix what the linter can fix
	@$(BIN)/ruff check --fix-only --quiet
	@$(BIN)/ruff format

api: $(STAMPS)/test ## write the public names of all distributions to packages/*/api.txt
	@$(BIN)/python scripts/public_api.py --update

bench: $(STAMPS)/test ## run the benchmarks and write their JSON to benchmarks/results (ARGS="losses")
	@$(BIN)/python benchmarks/run.py $(ARGS)

dist: $(STAMPS)/release ## build wheels and sdists of all distributions into dist/
	@rm -rf dist
	@for project in packages/*/; do $(RELEASE)/bin/python -m build --quiet --no-isolation --outdir dist $$project || exit; done
	@ls -l dist

test-dist: dist ## check what dist/ holds, and install and use it in fresh environments
	@$(TEST_ENV) TORCH='$(TORCH)' $(RELEASE)/bin/python -m pytest -q tests/release $(ARGS)

version: ## print the version of all distributions (TO=1.1.0 sets it, TAG=v1.1.0 checks it for a release)
	@$(PYTHON) scripts/version.py $(if $(TO),--to $(TO)) $(if $(TAG),--tag $(TAG))

clean: ## remove .venv, caches and everything that was built
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis quaterion-demo lightning_logs dist
	find packages benchmarks examples -name __pycache__ -prune -exec rm -rf {} +

# A venv is recognised by its interpreter, so one that was made by hand is used as it is.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else \
	  "$(PYTHON) is Python %d.%d; 3.11 or newer is needed: make PYTHON=python3.11 ..." % v[:2])'
	$(PYTHON) -m venv $(VENV)

# Holds the torch that was asked for on the command line; looked at again only when one is given.
$(STAMPS)/torch-request: | $(BIN)/python
	@mkdir -p $(STAMPS)
	@[ -e $@ ] || : > $@
	@if [ "$(origin TORCH)" != file ] && [ "$$(cat $@)" != '$(TORCH)' ]; then echo '$(TORCH)' > $@; fi

ifneq ($(origin TORCH),file)
$(STAMPS)/torch-request: request
endif

# torch comes first and on its own, because a plain range may pull gigabytes of CUDA packages; a torch that is there stays.
# The constraint names the public version: torch==2.13.0 also accepts 2.13.0+cpu, the other way round pip finds nothing.
$(CONSTRAINTS): $(STAMPS)/torch-request
	@if [ -s $(STAMPS)/torch-request ] || ! $(BIN)/python -c 'import torch' 2>/dev/null; then \
	  $(PIP) install $(TORCH); fi
	@$(BIN)/python -c 'from importlib.metadata import version; print("torch==" + version("torch").split("+")[0])' > $@

# One install command; a stamp is older than a pyproject.toml only when that file has changed.
INSTALL = $(PIP) install --constraint $(CONSTRAINTS) $(MODELS) $(ALSO) -e "packages/quaterion[$(EXTRAS)]"

# The runtime as its users install it: a wheel, in an environment of its own.
$(STAMPS)/runtime: $(shell find packages/quaterion-runtime/src packages/quaterion-runtime/pyproject.toml -type f -not -name '*.pyc')
	@mkdir -p $(STAMPS)
	rm -rf $(RUNTIME)
	$(PYTHON) -m venv $(RUNTIME)
	$(RUNTIME)/bin/python -m pip --disable-pip-version-check --no-input install "packages/quaterion-runtime[test]"
	@touch $@

# What builds and checks the distributions: with its own interpreter, so that torch is not needed for it.
$(STAMPS)/release:
	@mkdir -p $(STAMPS)
	rm -rf $(RELEASE)
	$(PYTHON) -m venv $(RELEASE)
	$(RELEASE)/bin/python -m pip --disable-pip-version-check --no-input install build hatchling "twine>=6.1" "pytest>=8"
	@touch $@

$(STAMPS)/demo: EXTRAS := demo
$(STAMPS)/test: EXTRAS := demo,test
$(STAMPS)/test: ALSO := -e "packages/quaterion-runtime[test]"
$(STAMPS)/demo $(STAMPS)/test: $(CONSTRAINTS) $(PROJECTS)
	$(INSTALL)
	@touch $(STAMPS)/demo $@
