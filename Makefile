# Each target works by itself on a fresh machine with Python 3.11 to 3.13, git and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PLUGINS := plugins/ltcore_datasets plugins/ltcore_backbones plugins/ltcore_losses
INSTALLED := $(VENV)/.installed

.PHONY: demo test lint format bench clean

demo: $(INSTALLED)
	$(BIN)/ltcore run examples/quickstart.json --set loss=cross_entropy --out demo-results
	$(BIN)/ltcore run examples/quickstart.json --set loss=balanced_softmax --out demo-results
	$(BIN)/ltcore report demo-results/*.h5

test: $(INSTALLED)
	$(BIN)/pytest -n auto --dist loadfile

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# All parts of the benchmarks, or those named: make bench PARTS="losses report"
bench: $(INSTALLED)
	$(BIN)/python -m benchmarks $(PARTS) --json benchmarks.json

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) demo-results benchmarks.json

$(INSTALLED): pyproject.toml $(PLUGINS:%=%/pyproject.toml)
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "ltcore needs Python 3.11 to 3.13; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --group dev -e '.[html,pandas,tensorboard]' $(PLUGINS:%=-e %)
	touch $(INSTALLED)
