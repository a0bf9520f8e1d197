# Every target sets up what it needs. See README.md.
SHELL := /bin/sh
PY := .venv/bin/python
SEEDS ?= 300
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-once test test-deploy test-services check sim sim-long mutants mutants-services pages bench soak coverage lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 18

setup: ## make .venv with munimentd and muniment
	@sh scripts/setup.sh

demo: setup ## a morning in four agencies; stays up on a terminal
	@$(PY) -m scripts.demo

demo-once: setup ## the same, and ends
	@$(PY) -m scripts.demo --once

test: setup ## every test that needs no Debian package
	@$(PY) -m pytest -q -n 2 --dist loadfile tests --ignore tests/deploy --ignore tests/services/test_live.py

test-deploy: setup ## deploy/ against Debian's Prometheus, which it installs
	@sh scripts/debian.sh prometheus
	@$(PY) -m pytest -q tests/deploy

test-services: setup ## services on four validators whose clock moves; installs Debian's faketime
	@sh scripts/debian.sh faketime
	@$(PY) -m pytest -q -s tests/services/test_live.py

check: setup ## formatting, lint, types, import contracts, house rules, coverage
	@$(PY) -m ruff format --check --quiet .
	@$(PY) -m ruff check --quiet .
	@$(PY) -m mypy --no-error-summary
	@.venv/bin/lint-imports --no-cache | tail -n 4
	@$(PY) -m pytest -q -p no:cacheprovider tests/test_house.py
	@$(MAKE) -s coverage

sim: setup ## SEEDS=2000: seeded simulation of whole networks
	@$(PY) -m tests.sim --seeds $(SEEDS)

sim-long: setup ## 100,000 seeds
	@$(PY) -m tests.sim --seeds 100000

mutants: setup ## plant known bugs; the simulator must find each
	@$(PY) -m tests.sim.mutants

mutants-services: setup ## take each rule of each service away; its scenario must notice
	@$(PY) -m scripts.mutants_services

pages: setup ## write docs/services/ from the definitions anew
	@for name in funds land documents casework; do \
		.venv/bin/muniment service doc services/$$name -o docs/services/$$name.md; done

bench: setup ## BENCH=load|services|failover|tree|stages|engine
	@$(PY) -m benchmarks $(or $(BENCH),load)

soak: setup ## ten minutes of load; no loss, equal roots, memory printed
	@$(PY) -m benchmarks load --seconds 600 --transactions 2000000

coverage: setup ## branch coverage of consensus/ and ledger/, at least 95 %
	@$(PY) -m coverage erase
	@$(PY) -m pytest -q -p no:cacheprovider -n 2 --dist loadfile --cov --cov-branch --cov-report=term:skip-covered \
		tests/ledger tests/consensus tests/sim/test_sim.py $(filter-out %/test_live.py,$(wildcard tests/services/test_*.py))

lock: setup ## write requirements.lock anew
	@sh scripts/lock.sh

clean: ## remove .venv and caches
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
