# make run: a registry on this machine · make check: what is quick to check · make test: everything that proves it · make bench: how fast, against whom
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/.tools/bin:$(PATH)
# Test processes of a whole run: as many as there are processors, from 2 to 4
JOBS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n < 2 ? 2 : n > 4 ? 4 : n)))

.PHONY: setup setup-dev run check test torture mutate lint format bench shapes settings events picture dist clean

setup: .venv/.runtime
setup-dev: .venv/.dev

.venv/.runtime: requirements/runtime.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo 'Moorage needs Python 3.11 or newer with venv. On Debian or Ubuntu: apt-get install -y make python3-venv'; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo 'Installing Moorage into .venv (once) …'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.txt -r requirements/runtime.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: .venv/.runtime requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

.venv/.mutation: .venv/.dev requirements/mutation.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/mutation.txt
	@touch $@

run: setup
	@$(BIN)/moorage dev $(ARGS)

# Linters, types, import walls, unit and property tests: no servers and no clients
check: lint
	@$(BIN)/python -m pytest -q -m 'not torture and not system' -n $(JOBS) --dist loadgroup $(ARGS)

test: setup-dev
	@tools/test-machine
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest $(or $(ARGS),-n $(JOBS) --dist loadgroup)

# Floods and soaks: what a server measures while it is attacked (ARGS="-k flood" for some of them)
torture: setup-dev
	@tools/test-machine
	@$(BIN)/python -m pytest -m torture -s -o faulthandler_timeout=3600 $(ARGS)

# How well tests/policy proves the policy engine: tries what changed since the last time (ARGS=--all: everything)
mutate: .venv/.mutation
	@$(BIN)/python tools/mutate.py $(ARGS)

lint: setup-dev
	@$(BIN)/ruff check --no-cache .
	@$(BIN)/ruff format --no-cache --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python tools/generate_settings.py --check
	@$(BIN)/python tools/generate_events.py --check
	@$(BIN)/python tools/draw_packages.py --check

format: setup-dev
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

shapes: setup-dev
	@$(BIN)/python tools/generate_shapes.py

# docs/reference/settings.md
settings: setup-dev
	@$(BIN)/python tools/generate_settings.py

# docs/reference/events.md
events: setup-dev
	@$(BIN)/python tools/generate_events.py

# docs/development/packages.md: which package imports which
picture: setup-dev
	@$(BIN)/python tools/draw_packages.py

bench: setup-dev
	@$(BIN)/python bench/run.py $(ARGS)

# dist/: a source distribution and a wheel
dist: setup
	@$(BIN)/python -c 'from setuptools import build_meta as build; build.build_sdist("dist"); build.build_wheel("dist")' >/dev/null
	@ls dist

clean:
	rm -rf build dist .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache mutants
