# SPDX-License-Identifier: Apache-2.0
# `make demo` and `make test` set up what they need; another Python: `make test PYTHON=python3.13
# VENV=.venv313`.

PYTHON ?= python3
VENV ?= .venv
BENCH ?=
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
RUN := runs/vae_digits

.PHONY: demo test test-slow bench lint format clean

# A finished or interrupted demo is taken up where it stands; remove $(RUN) to start over.
demo: $(VENV)/.demo
	$(BIN)/python -m experiments train vae_digits --run-dir $(RUN) --resume auto
	@echo "report: $(CURDIR)/$(RUN)/report.html"

# The -v undoes the -q of the configuration: the closing line is wanted in full. A file stays with
# one process, so that what its tests share is compiled once.
test: $(VENV)/.test
	$(BIN)/python -m pytest -v -n 2 --dist loadfile

# One at a time: some of these measure.
test-slow: $(VENV)/.test
	$(BIN)/python -m pytest -v -m slow

# With PyTorch in some environment: make bench BENCH="--torch path/to/its/python"
bench: $(VENV)/.demo
	$(BIN)/python -m benchmarks $(BENCH)

lint: $(VENV)/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(VENV)/.test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis

# The stamps make the set-up run once, and again when the requirements change.
$(BIN)/python:
	@echo "setting up $(VENV): a minute or two"
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e ".[experiments,data,tensorboard,ode]"
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e ".[experiments,data,tensorboard,ode,text,test,lint]"
	@touch $@ $(VENV)/.demo
