# The commands of this project; `make help` lists them. Works with GNU make 3.81 (macOS) and newer.
# Needed: Python 3.11 or 3.12. Everything else goes into .venv, made on first use.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run ui status stop test test-all test-crash lint format requirements clean environment environment-dev

# what to run: make run SERVICE=yellow MONTH=2021-01 SOURCE=../my-files
SERVICE := green
MONTH := 2020-04
SOURCE :=
# what to test: make test TESTS=tests/mage
TESTS := tests
# how often each destination is killed: make test-crash KILLS=10
KILLS := 50
PORT := 6789

PYTHON := .venv/bin/python
# in the order in which they build on each other; each list's second line says how it is compiled
LISTS := uv mage dev airflow airflow-dev airflow2 bigquery-standin
UPGRADE :=
# Mage imports thousands of modules: keep them compiled, whatever the caller's habit
unexport PYTHONDONTWRITEBYTECODE

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: environment ## load one month through Mage into Postgres (SERVICE, MONTH, SOURCE)
	@$(PYTHON) -m mage_project.run --service "$(SERVICE)" --month "$(MONTH)" --source "$(SOURCE)"

ui: environment ## start Mage's pages on this machine, behind a login (PORT)
	@$(PYTHON) -m mage_project.ui --port "$(PORT)"

status: environment ## show which months are loaded where
	@.venv/bin/taxi status

stop: environment ## stop the embedded servers; their data stays
	@.venv/bin/taxi stop

test: environment-dev ## run the tests but the slow ones (TESTS=a folder or file)
	@$(PYTHON) -m pytest -m "not crash and not slow" $(TESTS)

test-all: environment-dev ## run the slow ones too: the BigQuery stand-in, large months
	@$(PYTHON) -m pytest -m "not crash" $(TESTS)

test-crash: environment-dev ## kill loads at every step and at random, in every destination (KILLS each)
	@CRASH_KILLS=$(KILLS) $(PYTHON) -m pytest -m crash tests/crash

lint: environment-dev ## check style and types
	@$(PYTHON) -m ruff check
	@$(PYTHON) -m ruff format --check
	@$(PYTHON) -m mypy

format: environment-dev ## put the code into shape
	@$(PYTHON) -m ruff check --fix --quiet
	@$(PYTHON) -m ruff format

requirements: environment ## compile requirements/*.in into hashed lists (UPGRADE=--upgrade: to newer versions)
	@for list in $(LISTS); do \
		echo "requirements/$$list.txt"; \
		requirements/uv.sh $$(sed -n '2s/^# *uv //p' requirements/$$list.txt) --quiet $(UPGRADE) || exit 1; \
	done

clean: ## delete environment, caches and Mage's files; workspace/ with the data stays
	@if [ -x .venv/bin/taxi ]; then .venv/bin/taxi stop || true; fi
	@rm -rf .venv .mage_data mage_project/.[a-z]*
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

environment:
	@requirements/install.sh mage

environment-dev:
	@requirements/install.sh dev
