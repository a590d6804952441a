# Every target installs what it needs into $(VENV) first; a second call finds that done.
#   make quickstart QUICKSTART=elsewhere     make test VENV=/tmp/venv     make setup PYTHON=python3.12

PYTHON ?= python3.11
VENV ?= .venv
QUICKSTART ?= build
PYTEST_ARGS ?=

BIN := $(abspath $(VENV))/bin
INSTALLED := $(VENV)/.installed
INSTALLED_BENCH := $(VENV)/.installed-bench
DATA := $(QUICKSTART)/data
RUNS := $(QUICKSTART)/runs
RUN := $(RUNS)/recommender/$(shell date +%Y%m%d-%H%M%S)
DEMAND_RUN := $(RUNS)/forecaster/$(shell date +%Y%m%d-%H%M%S)
MODELS := $(QUICKSTART)/models
RECOMMENDATIONS := $(QUICKSTART)/recs.parquet
FORECAST := $(QUICKSTART)/forecast.parquet
PLAN := $(QUICKSTART)/plan.parquet
SIMULATION := $(QUICKSTART)/simulation.parquet
PROFILES := $(QUICKSTART)/profiles
CAMPAIGNS := $(QUICKSTART)/campaigns.parquet

.DEFAULT_GOAL := help
.PHONY: help setup quickstart test lint format types bench clean
.SUFFIXES:
.DELETE_ON_ERROR:

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## create .venv and install the package with its development tools

$(INSTALLED): setup.py pyproject.toml
	@command -v $(PYTHON) >/dev/null || { \
		echo "error: $(PYTHON) was not found; install Python 3.11 or newer, or name one: make setup PYTHON=python3.12" >&2; \
		exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "error: $(PYTHON) is older than Python 3.11; name a newer one: make setup PYTHON=python3.12" >&2; \
		exit 1; }
	@echo "Installing into $(VENV); TensorFlow is large, so this takes a minute or two."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

$(INSTALLED_BENCH): $(INSTALLED)
	@echo "Installing the peers that the benchmarks compare with."
	@$(BIN)/python -m pip install --quiet --editable '.[dev,bench]'
	@touch $@

$(DATA)/manifest.json: | $(INSTALLED)
	$(BIN)/supplytower data prepare --source complete-journey --out $(DATA)

quickstart: $(INSTALLED) $(DATA)/manifest.json ## train and export both models on real data, plan orders and a campaign with them, into build/
	$(BIN)/supplytower train recommender --data $(DATA) --out $(RUN) --preset quick
	$(BIN)/supplytower evaluate recommender --run $(RUN) --data $(DATA)
	$(BIN)/supplytower export recommender --run $(RUN) --models $(MODELS)
	$(BIN)/supplytower recommend --models $(MODELS) --data $(DATA) --k 20 --out $(RECOMMENDATIONS)
	$(BIN)/supplytower train forecaster --data $(DATA) --out $(DEMAND_RUN) --preset quick
	$(BIN)/supplytower export forecaster --run $(DEMAND_RUN) --models $(MODELS)
	$(BIN)/supplytower forecast --models $(MODELS) --data $(DATA) --horizon 28 --out $(FORECAST)
	$(BIN)/supplytower inventory plan --forecast $(FORECAST) --data $(DATA) --out $(PLAN) --report $(PLAN:.parquet=.html)
	$(BIN)/supplytower inventory simulate --models $(MODELS) --data $(DATA) --out $(SIMULATION) \
		--report $(SIMULATION:.parquet=.html)
	$(BIN)/supplytower profile build --data $(DATA) --out $(PROFILES)
	$(BIN)/supplytower profile report --profiles $(PROFILES)
	@rm -rf $(QUICKSTART)/campaigns_log # else what is planned again would have been decided
	$(BIN)/supplytower campaigns plan --models $(MODELS) --data $(DATA) --profiles $(PROFILES) --campaigns win-back \
		--out $(CAMPAIGNS)
	$(BIN)/supplytower campaigns explain 1003 win-back --decisions $(CAMPAIGNS)
	@echo
	@echo "  report           $(RUN)/report.html"
	@echo "  metrics          $(RUN)/metrics.json"
	@echo "  SavedModels      $(MODELS)/recommender, $(MODELS)/demand_forecaster"
	@echo "  recommendations  $(RECOMMENDATIONS)"
	@echo "  forecast         $(FORECAST), $(FORECAST:.parquet=.png)"
	@echo "  orders           $(PLAN), $(PLAN:.parquet=.html)"
	@echo "  their worth      $(SIMULATION:.parquet=.html)"
	@echo "  customers        $(PROFILES)/report.html"
	@echo "  campaign         $(CAMPAIGNS)"
	@echo "  TensorBoard      $(VENV)/bin/tensorboard --logdir $(RUNS)"

test: $(INSTALLED) ## run the tests, e.g. make test PYTEST_ARGS='-k layers'
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile $(PYTEST_ARGS)

lint: $(INSTALLED) ## check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(INSTALLED) ## put style and formatting right where that is automatic
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(INSTALLED) ## check types
	@$(BIN)/mypy

bench: $(INSTALLED_BENCH) ## measure against peers on this machine
	@$(BIN)/python -m benchmarks quick --data $(DATA) --models $(MODELS)

clean: ## remove the environment, caches and the quickstart's output
	rm -rf $(VENV) $(DATA) $(RUNS) $(MODELS) $(RECOMMENDATIONS) $(FORECAST) $(FORECAST:.parquet=.png) *.egg-info
	rm -rf $(PLAN) $(PLAN:.parquet=.html) $(SIMULATION) $(SIMULATION:.parquet=.html)
	rm -rf $(PROFILES) $(CAMPAIGNS) $(QUICKSTART)/campaigns_log
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
