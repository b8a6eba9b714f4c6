# `make demo` and `make test` need Python 3.11, make and git; all else is installed into .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TOOLS := $(VENV)/.tools
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
# pip would compile all of every package, for two minutes; Python compiles what is imported, and keeps it unless told not to.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test up down lint bench sweep pull clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info[:2] == (3, 11) or sys.exit("Python 3.11 is needed, this is " + \
	  sys.version.split()[0] + "; name one: make PYTHON=/usr/bin/python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	@# The pip that comes with Python 3.11 takes a minute longer to find the pinned versions.
	$(PIP) pip
	@# torch first and by its exact version: no other package may choose it
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

test: $(TOOLS) pull ## run the tests
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/python -m pytest

up: pull ## start a Prefect server, an MLflow server and a worker a GPU on this machine, and register the deployments
	$(BIN)/dreamvideo server up

down: ## stop what `make up` started; what it recorded stays
	$(BIN)/dreamvideo server down

lint: $(TOOLS) ## check the style, and which way imports run
	$(BIN)/ruff check .
	$(BIN)/lint-imports

bench: pull ## measure speed and orchestration cost on this machine
	$(BIN)/python benchmarks/pocket.py
	$(BIN)/python -m benchmarks.gpu

sweep: pull ## search DreamVideo's step counts, rates and widths on subjects and motions that are not in the dataset
	$(BIN)/python benchmarks/sweep.py

clean: ## remove what runs leave; models, data and code stay
	@[ ! -x $(BIN)/dreamvideo ] || $(BIN)/dreamvideo server down
	rm -rf reports mlruns mlflow.db checkpoints sweep server
