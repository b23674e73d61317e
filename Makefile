# The commands of this project; `make help` lists them. Works with GNU make 3.81 (macOS) and newer.
# Requires Python 3.11 or 3.12. Everything else is installed into .venv on first use.
# /bin/sh whose umask keeps others from writing: environments and compiled modules are code
SHELL := $(dir $(lastword $(MAKEFILE_LIST)))requirements/private-sh
.DEFAULT_GOAL := help
.PHONY: help run bikeshare ui env status stop test test-all test-crash test-fuzz test-faults test-lowest docker-test cloud-test s3-test scale-test bench bench-parts bench-scale airflow-up airflow-test composer-deploy composer-delete terraform-schema zone-polygons lint format docs requirements clean environment environment-dev

# month to run: make run SERVICE=yellow MONTH=2021-01 SOURCE=../my-files
SERVICE := green
MONTH := 2020-04
SOURCE :=
# day of the bike-share: make bikeshare DAY=2018-01-02
DAY := 2018-01-01
# tests to run: make test TESTS=tests/e2e/mage
TESTS := tests
# kills per destination: make test-crash KILLS=10; QUICK=1: 3, in parallel
KILLS := 50
# test files run in parallel, on at most this many cores
CORES := 4
SEQUENCES := 100
CASES := 500
PYTEST = $(PYTHON) -m pytest -n auto --maxprocesses $(CORES) --dist loadfile
# months that make scale-test loads
MONTHS := 12
# options of the benchmark: make bench QUICK=1, ROUNDS=5, JSON=file for the figures, DOCS=1 to renew docs/performance.md
QUICK :=
ROUNDS := 3
JSON :=
DOCS :=
PORT := 6789
AIRFLOW_PORT := 8080
# Celery workers of airflow-up; with 0 the scheduler runs the tasks
WORKERS := 0
ON_AIRFLOW_2 = $(addprefix tests/e2e/airflow/test_,integrity.py environment.py dag_runs.py)
# target of the deployment: make composer-deploy ENVIRONMENT=taxi LOCATION=us-central1 GCP_PROJECT=... DRY_RUN=1
ENVIRONMENT :=
LOCATION :=
GCP_PROJECT :=
DRY_RUN :=
# targets of the cloud tests: make cloud-test GCP_PROJECT=... COMPOSER=1; make s3-test ENDPOINT=http://127.0.0.1:9000
BUCKET :=
ENDPOINT :=
COMPOSER :=
REPORT :=

PYTHON := .venv/bin/python
# in dependency order; the second line of each list is the command that compiles it
LISTS := uv mage dev lowest airflow airflow-dev airflow2 bench docs bigquery-emulator composer terraform-schema
UPGRADE :=
# Mage imports thousands of modules: keep them compiled, whatever the caller's environment says
unexport PYTHONDONTWRITEBYTECODE

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: environment ## load one month through Mage into Postgres, bucket and warehouse (SERVICE, MONTH, SOURCE)
	@$(PYTHON) -m launchers.mage.run --service "$(SERVICE)" --month "$(MONTH)" --source "$(SOURCE)"

bikeshare: environment ## generate a day of bike-share data and load it (DAY)
	@.venv/bin/taxi bikeshare seed "$(DAY)"
	@.venv/bin/taxi bikeshare run "$(DAY)"

ui: environment ## start Mage on this machine, with a login (PORT)
	@$(PYTHON) -m launchers.mage.ui --port "$(PORT)"

env: ## write settings for containers to .env, with random passwords and keys; keeps existing ones
	@python3 launchers/env_file.py

status: environment ## show the loaded months of every destination
	@.venv/bin/taxi status

stop: environment ## stop the embedded servers; keeps their data
	@.venv/bin/taxi stop

test: environment-dev ## run all tests except slow ones (TESTS=a folder or file)
	@$(PYTEST) -m "not crash and not slow and not docker" $(TESTS)

test-all: environment-dev ## also run slow tests: the BigQuery emulator, large months
	@$(PYTEST) -m "not crash and not docker" $(TESTS)

test-fuzz: environment-dev ## load randomly damaged or rewritten files, TLC's own if TAXI_REAL_DATA is set (CASES)
	@FUZZ_CASES=$(CASES) $(PYTHON) -m pytest -n 0 tests/integration/pipelines/test_fuzz.py

test-crash: environment-dev ## kill loads and downloads at every step and at random (KILLS in each destination; QUICK=1: 3)
	@CRASH_KILLS=$(if $(QUICK),3,$(KILLS)) $(if $(QUICK),$(PYTEST) --dist worksteal,$(PYTHON) -m pytest) -m crash $(TESTS)

test-faults: environment-dev ## inject network faults between the pipeline, sources and buckets, in random sequences (SEQUENCES)
	@FAULT_SEQUENCES=$(SEQUENCES) $(PYTHON) -m pytest -n 0 tests/integration/extract/test_random_faults.py tests/integration/load/test_random_faults.py

scale-test: environment-dev ## load twelve months with workers that share nothing, and kill workers (MONTHS)
	@PYTHONWARNINGS=ignore $(PYTHON) -m tests.e2e.scale --months $(MONTHS)

test-lowest: ## test with the oldest versions of packages that pyproject.toml admits
	@requirements/install.sh lowest
	@.venv-lowest/bin/python -m pytest -n auto --maxprocesses $(CORES) --dist loadfile \
		-m "not crash and not slow and not docker and not mage and not real" \
		tests/unit tests/integration/extract tests/integration/lake tests/integration/load/test_conformance.py

cloud-test: environment-dev ## test at Google, in a bucket and datasets of its own (GCP_PROJECT, BUCKET, LOCATION, COMPOSER=1, REPORT)
	@PYTHONWARNINGS=ignore exec $(PYTHON) -m tests.e2e.cloud google --project "$(GCP_PROJECT)" --bucket "$(BUCKET)" \
		--location "$(or $(LOCATION),us-central1)" $(if $(COMPOSER),--composer) --report "$(or $(REPORT),workspace/cloud-test.md)"

s3-test: environment-dev ## test an S3-compatible service, in its own bucket (ENDPOINT, BUCKET, REPORT)
	@exec $(PYTHON) -m tests.e2e.cloud s3 --endpoint "$(ENDPOINT)" --bucket "$(BUCKET)" --report "$(or $(REPORT),workspace/s3-test.md)"

docker-test: environment-dev ## build the images and test the whole stack on a Docker engine (docs/docker.md)
	@tests/e2e/docker/run.sh

airflow-up: ## start Airflow on this machine, with a login, without containers (AIRFLOW_PORT, WORKERS)
	@requirements/install.sh airflow
	@.venv-airflow/bin/python -m launchers.airflow.up --port "$(AIRFLOW_PORT)" --workers "$(WORKERS)"

airflow-test: environment ## test the DAGs on Airflow 3 and 2, and against Mage (TESTS=tests/e2e/airflow/...: on 3)
	@requirements/install.sh airflow2
	@requirements/install.sh airflow-dev
	@$(if $(filter tests,$(TESTS)),.venv-airflow2/bin/python -m pytest $(ON_AIRFLOW_2))
	@.venv-airflow/bin/python -m pytest $(if $(filter tests,$(TESTS)),tests/e2e/airflow,$(TESTS))

composer-deploy: environment ## deploy the DAGs to Cloud Composer (ENVIRONMENT, LOCATION, GCP_PROJECT, DRY_RUN=1)
	@$(PYTHON) -m airflow_project.deploy --environment "$(ENVIRONMENT)" --location "$(LOCATION)" \
		--project "$(GCP_PROJECT)" $(if $(DRY_RUN),--dry-run)

composer-delete: environment ## delete the deployment from Cloud Composer (the same variables)
	@$(PYTHON) -m airflow_project.deploy --delete --environment "$(ENVIRONMENT)" --location "$(LOCATION)" \
		--project "$(GCP_PROJECT)" $(if $(DRY_RUN),--dry-run)

zone-polygons: environment-dev ## simplify TLC's zones for the package (SHAPEFILE=taxi_zones.shp)
	@$(PYTHON) -m tools.zone_polygons "$(SHAPEFILE)"

bench: environment ## compare the speed with other tools and the machine's limits (QUICK=1, ROUNDS, JSON, DOCS=1)
	@requirements/install.sh bench
	@$(PYTHON) -m benchmarks --rounds $(ROUNDS) $(if $(QUICK),--quick) $(if $(JSON),--json "$(JSON)") $(if $(DOCS),--docs)

bench-scale: environment ## compute months per hour by number of workers, for docs/scale.md
	@$(PYTHON) -m benchmarks.scale

bench-parts: environment ## measure the parts of a run, for docs/performance.md
	@$(PYTHON) -m benchmarks.parts

lint: environment-dev ## check style, types and layers
	@$(PYTHON) -m ruff check
	@$(PYTHON) -m ruff format --check
	@$(PYTHON) -m mypy
	@.venv/bin/lint-imports --cache-dir .cache/import_linter

format: environment-dev ## format the code
	@$(PYTHON) -m ruff check --fix --quiet
	@$(PYTHON) -m ruff format

docs: ## build the documentation site into site/, without a network
	@requirements/install.sh docs
	@.venv-docs/bin/zensical build --clean --strict

requirements: environment ## compile pyproject.toml and requirements/*.in into hashed lists (UPGRADE=--upgrade: newest versions)
	@for list in $(LISTS); do \
		echo "requirements/$$list.txt"; \
		requirements/uv.sh $$(sed -n '2s/^# *uv //p' requirements/$$list.txt) --quiet $(UPGRADE) || exit 1; \
	done

terraform-schema: environment-dev ## update the schema that terraform/ is checked against
	@$(PYTHON) -m tests.unit.terraform.provider_schema

clean: ## delete environment, caches and Mage's files; keeps workspace/ with the data
	@if [ -x .venv/bin/taxi ]; then .venv/bin/taxi stop || true; fi
	@rm -rf .venv .venv-airflow .venv-airflow2 .venv-bench .venv-docs .venv-lowest site .cache benchmarks/.months .airflow .mage_data mage_project/.[a-z]*
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

environment:
	@requirements/install.sh mage

environment-dev:
	@requirements/install.sh dev
