# make demo    install, simulate a corpus, train a model on it, evaluate, ask, write runs/demo/report.html
# make serve   install what the page needs, then open http://127.0.0.1:8765 with the demo's model, or one of a minute
# make test    install with the development tools (and Chromium, where apt-get can), then linters and tests
# make audit   look for known weaknesses in what constraints.txt pins
#
# Only files whose hashes are known (hashes.txt), but torch's: make install HASHED=1
# A Python of your own: make demo PYTHON=python3.12

VENV := .venv
RUN ?= runs/demo
ARGS ?=

# What fits first: the default python3 where its version is one we test, else a tested version by name.
TESTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c '$(TESTED)' >/dev/null 2>&1 && echo $$p && break; done)
ENOUGH := import sys; sys.exit(sys.version_info[:2] < (3, 11))

# Constraints hold for everything here; without build isolation, for what builds the package too.
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help install demo demo-eegmat serve chromium test audit clean

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

$(VENV)/created:
	@test -n '$(PYTHON)' || { \
		echo 'neurolm needs Python 3.11, 3.12 or 3.13, and none of python3, python3.13, python3.12, python3.11 and python is one.'; \
		echo 'Install one, then name it: make demo PYTHON=/path/to/python3.12'; exit 1; } >&2
	@'$(PYTHON)' -c '$(ENOUGH)' || { \
		echo 'neurolm needs Python 3.11 or newer; PYTHON=$(PYTHON) is '"$$('$(PYTHON)' --version 2>&1)."; \
		echo 'Name another: make demo PYTHON=/path/to/python3.12'; exit 1; } >&2
	@'$(PYTHON)' -m venv $(VENV) || { \
		echo 'Python cannot create a virtual environment; on Debian and Ubuntu: apt install python3-venv'; exit 1; } >&2
	@touch $@

$(VENV)/installed: $(VENV)/created pyproject.toml constraints.txt
	@echo 'installing neurolm into $(VENV) (about 1.5 GB with torch)'
	@test -z '$(HASHED)' || $(VENV)/bin/python -m pip --disable-pip-version-check install --quiet \
		--no-deps --only-binary :all: --require-hashes --requirement hashes.txt
	@$(PIP) hatchling editables
	@$(PIP) --no-build-isolation --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@echo 'installing the development tools into $(VENV)'
	@$(PIP) --no-build-isolation --editable '.[dev]'
	@touch $@

$(VENV)/installed-serve: $(VENV)/installed
	@echo 'installing what the page needs into $(VENV)'
	@$(PIP) --no-build-isolation --editable '.[serve]'
	@touch $@

install: $(VENV)/installed

demo: install
	$(VENV)/bin/neurolm demo --out $(RUN) $(ARGS)

# A model and recordings of your own: make serve ARGS='--model runs/mine --folder recordings'
serve: $(VENV)/installed-serve
	$(VENV)/bin/neurolm serve $(if $(ARGS),$(ARGS),--demo)

# The same on real EEG: make demo-eegmat DATA=folder of the PhysioNet recordings SubjectNN_1.edf, SubjectNN_2.edf
demo-eegmat: install
	@test -n '$(DATA)' || { echo 'give the folder of the recordings: make demo-eegmat DATA=path/to/eegmat' >&2; exit 1; }
	$(VENV)/bin/neurolm demo --corpus eegmat --data '$(DATA)' --out runs/eegmat $(ARGS)

# Tests of the page need a browser: the system's, never one that Playwright fetches. Without it they are skipped.
chromium:
	@for name in chromium chromium-browser google-chrome google-chrome-stable; do \
		command -v $$name >/dev/null 2>&1 && exit 0; done; \
	if [ "$$(id -u)" = 0 ]; then as_root=; else as_root='sudo -n'; fi; \
	if command -v apt-get >/dev/null 2>&1 && $$as_root true 2>/dev/null; then \
		echo 'installing Chromium from the packages of the system, for tests of the page' && \
		$$as_root apt-get update -qq && $$as_root apt-get install -y -qq chromium >/dev/null && exit 0; fi; \
	echo 'no Chromium here, and none could be installed: tests of the page are skipped (fail, where CI is set)' >&2

# One thread per test process: the processes share the cores already.
test: $(VENV)/installed-dev chromium
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest --numprocesses auto --maxprocesses 8 $(ARGS)

# In an environment of its own: its dependencies are not ours.
audit: $(VENV)/created
	@test -x $(VENV)/audit/bin/pip-audit || { '$(PYTHON)' -m venv $(VENV)/audit && \
		$(VENV)/audit/bin/python -m pip --disable-pip-version-check install --quiet pip-audit==2.10.1; }
	$(VENV)/audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip

# Leaves runs/ alone: it holds trained models.
clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
