# One word each. `make demo` and `make test` work on a fresh machine with Python 3.11+, pip and make.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PLUGINS = -e plugins/database -e plugins/rest -e plugins/email -e plugins/file
WORKERS ?= auto
SEEDS ?= 5
SEED ?= 0
STORE ?= sqlite
PROCESSES ?= 1
RECORDS ?= 5000
A_MINUTE ?= 6000
RATE ?= 500
MINUTES ?= 5
PIP = $(BIN)/python -m pip --disable-pip-version-check
# Else each of the hundreds of processes that the tests start compiles the whole program anew, a fifth of its start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test coverage check format bench crash burst hostile docs clean

help:
	@echo "make demo    install into $(VENV), run the main job against the simulator, show the outcomes"
	@echo "make test    install what the tests need, run them: TESTS=tests/store WORKERS=0 runs some of them one by one"
	@echo "make coverage  the tests once more, and which lines of the code no test runs: fails below the number in pyproject.toml"
	@echo "make check   format, ruff, mypy strict, import contracts, security scans, docs up to date"
	@echo "make format  put the format right"
	@echo "make bench   measure: acknowledged and delivered per second; BEFORE=FOLDER compares another checkout with this"
	@echo "make crash   load with random faults, then the books: SEEDS=50 SEED=0 STORE=sqlite PROCESSES=1"
	@echo "make burst   thousands of records at once against an account's limit: RECORDS=5000 RATE=500 A_MINUTE=6000 PROCESSES=1"
	@echo "make hostile attacks, bad answers, bad records and kills beside good traffic: MINUTES=5 SEED=0 STORE=sqlite PROCESSES=1"
	@echo "make docs    write the references anew: configuration from the models, plugin API from the docstrings"
	@echo "make clean   remove $(VENV) and what tools left"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(BIN)/python pyproject.toml constraints.txt $(wildcard plugins/*/pyproject.toml)
	$(PIP) install --quiet --constraint constraints.txt -e '.[demo,postgresql]' $(PLUGINS)
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(PIP) install --quiet --constraint constraints.txt -e '.[demo,postgresql,test,check,bench]' $(PLUGINS)
	@touch $@

demo: $(VENV)/.run
	@$(BIN)/gateway demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(TESTS)

coverage:
	$(MAKE) test PYTEST_ADDOPTS="$(PYTEST_ADDOPTS) --cov --cov-report= --cov-fail-under=0"
	$(BIN)/coverage report

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy gateway plugins/database/gateway_database plugins/rest/gateway_rest plugins/email/gateway_email plugins/file/gateway_file
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml gateway plugins/*/gateway_*
	$(BIN)/python -m tests.support.vulnerabilities
	$(BIN)/python -m pytest -q tests/test_house.py tests/docs

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.dev
	@$(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(BEFORE),--before $(BEFORE))

crash: $(VENV)/.dev
	@$(BIN)/python -m tests.crash --seeds $(SEEDS) --seed $(SEED) --store $(STORE) --processes $(PROCESSES)

burst: $(VENV)/.dev
	@$(BIN)/python -m tests.burst --records $(RECORDS) --a-minute $(A_MINUTE) --rate $(RATE) --processes $(PROCESSES)

hostile: $(VENV)/.dev
	@$(BIN)/python -m tests.hostile --minutes $(MINUTES) --seed $(SEED) --store $(STORE) --processes $(PROCESSES)

docs: $(VENV)/.dev
	$(BIN)/python -m gateway.reference.configuration > docs/configuration.md
	$(BIN)/python -m gateway.reference.plugin_api > docs/plugin-api.md
	$(BIN)/python -m gateway.reference.alarms docs/on-call.md

clean:
	rm -rf $(VENV) .coverage .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
