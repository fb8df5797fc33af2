# Phoenix 95. `make help` lists the targets.
SHELL := /bin/sh
PY := .venv/bin/python
MEMBERS := libs/common libs/stack services/feed services/engine services/executor services/monitor services/gateway \
           services/paper cli
SERVICES := feed engine executor monitor gateway paper
ARGS ?=
PYTEST_ARGS ?=
P95_COMPOSE ?= docker compose

.DEFAULT_GOAL := help
.PHONY: help demo test install lint format types arch unit e2e explore kill lock bench up down logs clean

help: ## List the targets
	@grep -hE '^[a-z][a-z0-9-]*:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

demo: install ## Run the whole system on this machine (ARGS="--help" lists the options)
	@.venv/bin/phoenix95 up $(ARGS)

test: install lint types arch unit e2e ## Lint, types, contracts, unit, integration and end-to-end tests

install: .venv/.installed ## Install what is missing: system packages, then Python packages into .venv
	@scripts/system-packages

.venv/.installed: requirements/dev.lock $(MEMBERS:%=%/pyproject.toml)
	@echo "installing the locked Python packages into .venv ..."
	@test -x $(PY) || python3 -m venv .venv || { echo "python3-venv is missing: apt-get install -y python3-venv" >&2; exit 1; }
	@scripts/python-packages $(MEMBERS)
	@touch $@

lint: install ## Style and common faults (ruff)
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .

format: install ## Rewrite the code in the house style
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

types: install ## Static types (mypy, strict)
	@.venv/bin/mypy

arch: install ## Who may import whom (import-linter)
	@.venv/bin/lint-imports

unit: install ## Unit and integration tests, on a real Redis and Postgres
	@$(PY) -m pytest -q -n 4 --dist worksteal -m "not e2e" $(PYTEST_ARGS)

e2e: install ## The whole system as processes, and its dashboard in a browser
	@scripts/system-packages --browser
	@$(PY) -m pytest -q -n 2 --dist loadfile -m e2e tests cli $(PYTEST_ARGS)

explore: install ## The order protocol under every placement of up to three faults (ARGS="--help"; takes long)
	@$(PY) -m tests.explorer $(ARGS)

kill: install ## Kill the executor with SIGKILL a thousand times (ARGS="--help" lists the options)
	@$(PY) -m tests.kill $(ARGS)

lock: install ## Resolve the dependencies again: requirements/*.lock
	@scripts/lock $(SERVICES)

bench: install ## Measure our claims of speed as ratios
	@for file in benchmarks/bench_*.py; do PYTHONPATH=. $(PY) "$$file" || exit 1; done

up: ## Run the whole system in containers
	@deploy/make-secrets
	@$(P95_COMPOSE) up -d --build $(ARGS)
	@echo "the API is on http://127.0.0.1:$${P95_GATEWAY_PORT:-8103}, its key in deploy/secrets/api_key"

down: ## Stop the containers; what they stored stays (ARGS=-v removes it)
	@$(P95_COMPOSE) down $(ARGS)

logs: ## Follow the containers' logs (ARGS=executor: of one service)
	@$(P95_COMPOSE) logs -f --tail=100 $(ARGS)

clean: ## Remove the virtual environment, the demo's data and all caches
	rm -rf .venv .p95 .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
