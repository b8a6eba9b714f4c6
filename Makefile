# `make demo` and `make test` need Python 3.11, 3.12 or 3.13, make and git. They install everything else into .venv.
# The newest Python that runs and can make an environment. A name on the path may belong to a Python that is not installed.
PYTHON ?= $(or $(shell for name in python3.13 python3.12 python3.11; do \
  $$name -c 'import ensurepip, venv' 2> /dev/null && echo $$name && break; done),python3)
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TOOLS := $(VENV)/.tools
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
# pip would compile every package for two minutes. Python compiles only what it imports, and keeps it unless this variable is set.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test up down lint docs bench sweep pull clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info[:2] <= (3, 13) or sys.exit("This is Python " + \
	  sys.version.split()[0] + "; Python 3.11, 3.12 or 3.13 is needed. Name one: make PYTHON=/usr/bin/python3.13 ...")'
	$(PYTHON) -m venv $(VENV)
	@# The pip that comes with Python takes a minute longer to find the pinned versions.
	$(PIP) pip
	@# torch first and by its exact version, so that no other package chooses it
	$(PIP) torch==2.13.0
	$(PIP) -e .
	@touch $@

$(TOOLS): $(INSTALLED)
	$(PIP) -e '.[dev]'
	@touch $@

pull: $(INSTALLED)
	$(BIN)/dreamvideo data pull

demo: pull ## customise 2 subjects and 3 motions, generate and score the 6 combinations, write the report
	$(BIN)/dreamvideo benchmark run --subjects $(DEMO_SUBJECTS) --motions $(DEMO_MOTIONS)

DEMO_SUBJECTS := cat,racing_car
DEMO_MOTIONS := wave_right,hop_right,diagonal_rise

test: lint docs pull ## check the code, build the documentation, run the tests
	$(BIN)/python -m pytest

up: pull ## start a Prefect server, an MLflow server and one worker for each GPU, and register the deployments
	$(BIN)/dreamvideo server up

down: ## stop the servers and workers of `make up`; their records stay
	$(BIN)/dreamvideo server down

lint: $(TOOLS) ## check style, imports, types and the workflows
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/actionlint
	$(BIN)/mypy

docs: $(TOOLS) ## build the documentation site into site/; a broken link fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: pull ## measure speed and orchestration cost on this machine
	$(BIN)/python benchmarks/pocket.py
	$(BIN)/python -m benchmarks.gpu

sweep: pull ## try other steps, rates and widths of DreamVideo on subjects and motions outside the dataset
	$(BIN)/python benchmarks/sweep.py

clean: ## delete all runs, reports and checkpoints; models, data and code stay
	@[ ! -x $(BIN)/dreamvideo ] || $(BIN)/dreamvideo server down
	rm -rf reports mlruns mlflow.db* checkpoints sweep server site
