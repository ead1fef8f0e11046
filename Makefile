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
LOWEST := $(VENV)/lowest
LOWEST_PIP := $(LOWEST)/bin/python -m pip --disable-pip-version-check --no-input
DOCS := $(VENV)/docs
CONSTRAINTS := $(VENV)/constraints.txt
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
PROJECTS := $(wildcard packages/*/pyproject.toml)
MODELS := -e packages/quaterion-models

# One process per core and one thread per process: faster than one process with many threads, and no oversubscription.
TEST_ENV := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1
PYTEST := $(TEST_ENV) $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist worksteal -q

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-fast test-runtime check fmt api bench docs dist test-dist test-lowest version clean request

help: ## list the targets (the default)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

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

docs: $(STAMPS)/docs ## build the documentation's site into site/ (ARGS=--serve to read it while it is written)
	@$(DOCS)/bin/python scripts/site/build.py $(ARGS)

dist: $(STAMPS)/release ## build wheels and sdists of all distributions into dist/
	@rm -rf dist
	@for project in packages/*/; do $(RELEASE)/bin/python -m build --quiet --no-isolation --outdir dist $$project || exit; done
	@ls -l dist

test-dist: dist ## check what dist/ holds, and install and use it in fresh environments
	@$(TEST_ENV) TORCH='$(TORCH)' $(RELEASE)/bin/python -m pytest -q -o tmp_path_retention_policy=failed tests/release $(ARGS)

# Warnings are those of old libraries, and two losses are newer than the pytorch-metric-learning that suffices for all others.
test-lowest: $(STAMPS)/lowest ## run tests of all that meets other libraries, with the oldest of them that are allowed
	@$(TEST_ENV) $(LOWEST)/bin/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist worksteal -q -o filterwarnings= -m "not slow" \
	  -k "not ThresholdConsistentMarginLoss and not SmoothAPLoss and not image" $(LOWEST_TESTS) $(ARGS)

version: ## print the version of all distributions (TO=1.1.0 sets it, TAG=v1.1.0 checks it for a release)
	@$(PYTHON) scripts/version.py $(if $(TO),--to $(TO)) $(if $(TAG),--tag $(TAG))

clean: ## remove .venv, caches and everything that was built
	rm -rf $(VENV) build site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis quaterion-demo lightning_logs dist
	find packages benchmarks examples scripts -name __pycache__ -prune -exec rm -rf {} +

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

# The oldest that the pyproject.toml files allow of all that users install; torch is the one that was asked for, because which older
# ones there are for a CPU differs between indexes. The resolver's list holds CUDA packages, too: it only constrains.
LOWEST_TESTS := $(addprefix packages/quaterion-models/tests/,encoders/extras encoders/test_lora.py export/test_fusion.py export/test_onnx_folder.py saving/test_hub.py search) \
  $(addprefix packages/quaterion/tests/,cli/test_app.py dataset/files eval/report loss/extras train/test_fit.py) packages/quaterion-runtime
$(STAMPS)/lowest: $(PROJECTS)
	@mkdir -p $(STAMPS)
	rm -rf $(LOWEST)
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST_PIP) install $(TORCH)
	$(LOWEST_PIP) install uv
	@$(LOWEST_PIP) freeze | sed -n 's/^\(torch==[^+]*\).*/\1/p' > $(LOWEST)/torch.txt
	@$(LOWEST)/bin/python scripts/oldest_dependencies.py > $(LOWEST)/required.txt
	$(LOWEST)/bin/uv pip compile --quiet --resolution lowest-direct --constraints $(LOWEST)/torch.txt $(LOWEST)/required.txt -o $(LOWEST)/oldest.txt
	$(LOWEST_PIP) install --constraint $(LOWEST)/oldest.txt --requirement $(LOWEST)/required.txt \
	  pytest pytest-xdist hypothesis pandas polars scikit-learn httpx openai
	$(LOWEST_PIP) install --no-deps $(addprefix -e ,$(wildcard packages/*/))
	@touch $@

# The site is made from the sources, which are not imported: an environment without torch.
$(STAMPS)/docs: scripts/site/requirements.txt
	@mkdir -p $(STAMPS)
	rm -rf $(DOCS)
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip --disable-pip-version-check --no-input install -r $<
	@touch $@

$(STAMPS)/demo: EXTRAS := demo
$(STAMPS)/test: EXTRAS := demo,test
$(STAMPS)/test: ALSO := -e "packages/quaterion-runtime[test]"
# Public data that a guide's program reads out of a package; the package's own needs are many, and none of them is used.
$(STAMPS)/test: DATA := autofj==0.0.6
$(STAMPS)/demo $(STAMPS)/test: $(CONSTRAINTS) $(PROJECTS)
	$(INSTALL)
	$(if $(DATA),$(PIP) install --no-deps $(DATA))
	@touch $(STAMPS)/demo $@
