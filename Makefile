# Each target makes what it needs; `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
RUN := $(BIN)/python
INSTALLED := $(VENV)/installed

.PHONY: help train paper test format lint types dashboard architecture requirements clean

help:  ## List the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

train: $(INSTALLED)  ## Install, train a ResUNet on the built-in phantom, evaluate it and show the table
	$(RUN) train.py experiment=quickstart

paper: $(INSTALLED)  ## Install, reproduce the paper: make paper DATA="data=alkafri data.root=…"; by default on a small phantom
	$(RUN) reproduce.py $(or $(DATA),data=phantom reproduce.size=small)

test: lint types  ## Install, lint, check types, run the tests
	$(RUN) -m pytest --numprocesses auto --dist loadscope

dashboard: $(INSTALLED)  ## Build the Weights & Biases dashboard: make dashboard PROJECT=lss_lightning ENTITY=my-team
	$(RUN) -m lss_lightning.reporting.loggers.wandb_workspace $(if $(PROJECT),project=$(PROJECT)) $(if $(ENTITY),entity=$(ENTITY))

format: $(INSTALLED)  ## Format the code and fix what ruff can fix
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lint: $(INSTALLED)  ## Check style
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(INSTALLED)  ## Check types
	$(BIN)/mypy

architecture: $(INSTALLED)  ## Draw docs/architecture.svg from the imports
	$(RUN) -m docs.draw_architecture

requirements: $(INSTALLED)  ## Pin every package of pyproject.toml anew, with hashes
	$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --extra dev --extra cluster --extra mlflow --extra optuna --no-annotate \
	  --no-emit-index-url --custom-compile-command "make requirements" --output-file requirements.txt pyproject.toml

clean:  ## Remove the environment and caches; runs and data stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache

$(INSTALLED): requirements.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed, this is ' + sys.version.split()[0] + '; name another with make PYTHON=python3.12')"
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --require-hashes --compile -r requirements.txt
	@touch $@
