# make quickstart   a virtual environment with core and plugins, then recipes/quickstart.yaml
# make test         the same with development tools, then everything that must hold
PYTHON  ?= python3
VENV    ?= .venv
BIN     := $(VENV)/bin
PLUGINS := $(sort $(dir $(wildcard plugins/tgframe-*/pyproject.toml)))
EDIT    := $(foreach plugin,$(PLUGINS),-e ./$(plugin))
SOURCES := pyproject.toml constraints.txt $(addsuffix pyproject.toml,$(PLUGINS))
PIP     := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
OUTPUT  ?=

.PHONY: quickstart test lint types layers unit clean

quickstart: $(VENV)/.installed
	$(BIN)/tgframe run recipes/quickstart.yaml $(if $(OUTPUT),--output $(OUTPUT))

test: lint types layers unit

lint: $(VENV)/.developing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.developing
	$(BIN)/mypy

layers: $(VENV)/.developing
	$(BIN)/lint-imports

# One thread: the models of the tests are tiny, and threads would only get in each other's way.
unit: $(VENV)/.developing
	OMP_NUM_THREADS=1 $(BIN)/pytest -q

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "tgframe needs Python 3.11 or newer, but $(PYTHON) is $$($(PYTHON) --version). Try make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# Build tools live in the environment, so that no package needs a build environment of its own.
$(VENV)/.installed: $(VENV)/bin/python $(SOURCES)
	$(PIP) "setuptools>=77"
	$(PIP) --no-build-isolation -e . $(EDIT)
	@touch $@

$(VENV)/.developing: $(VENV)/.installed
	$(PIP) --no-build-isolation -e .[dev] $(EDIT)
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
