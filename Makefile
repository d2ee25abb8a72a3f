# The two commands are `make run` and `make test`. All they do is written in embedded/.
# Variables for `make run`: PORT=8001, DATABASE_URL=..., REDIS_URL=..., PYTHON=/path/to/python3 (for the first time).
# Variables for the tests: ARGS="-k name -x".

.DEFAULT_GOAL := help
.PHONY: help run manage test machine lint audit types unit agent agent-reading integration integration-run versions browser \
  slow faults faults-fast benchmarks containers compose-smoke clean-state
.DELETE_ON_ERROR:

VENV_PYTHON := .venv/bin/python
PINS := requirements.txt requirements-embedded.txt
WITH_SERVICES := $(VENV_PYTHON) -m embedded.testing
NOT_SLOW := -m "not slow"

help:
	@echo 'make run           start opsdash with a private Postgres and Redis on http://127.0.0.1:8000/'
	@echo '                   make run PORT=8001, or with DATABASE_URL=... and REDIS_URL=... of your own'
	@echo 'make manage ARGS="status"   a command of manage.py beside make run (see docs/shell.md)'
	@echo 'make test          all of: lint types unit integration-run integration browser agent-reading agent faults-fast'
	@echo '                   versions; each can be made alone: make unit ARGS="-k name -x"'
	@echo 'make audit         bandit, and the pinned packages against known advisories (the latter needs the internet)'
	@echo 'make slow          tests that take long and have a fast form in make test (some 5 minutes)'
	@echo 'make faults        every fault of docs/faults.md is injected (some 15 minutes); make faults-fast: the worst ones'
	@echo 'make benchmarks    the figures of docs/benchmarks.md'
	@echo 'make containers    the tests that need a Docker engine; make compose-smoke builds docker-compose.yml and uses it'
	@echo 'make clean-state   remove the databases, logs and passwords that make run keeps'

run: .venv/.ready-for-run
	@exec $(VENV_PYTHON) -m embedded run

manage: .venv/.ready-for-run
	@exec $(VENV_PYTHON) -m embedded manage $(ARGS)

# The long ones mostly wait for processes and servers, so two of them run side by side, each with services of its
# own; what one of them says comes when it has ended. The longest come first, so that both ends are near.
SIDE_BY_SIDE := integration-run integration browser agent-reading agent faults-fast versions
test: .venv/.ready-for-test
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint types unit machine
	@echo 'side by side: $(SIDE_BY_SIDE) (a quarter of an hour; each is shown when it has ended)'
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target --keep-going $(SIDE_BY_SIDE)

machine: .venv/.ready-for-test
	@$(WITH_SERVICES) --without-services --programs --browser -- true

lint: .venv/.ready-for-test
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m bandit -q -c pyproject.toml -r dbops opsdash embedded manage.py

# Our own code by bandit; then the pinned packages against the advisories of the package index, which needs the
# internet: where no package of ours is known there, nothing was looked up, and it says so and fails.
audit: lint
	@test -x .venv/advisories/bin/pip-audit || { $(VENV_PYTHON) -m venv .venv/advisories && \
	  .venv/advisories/bin/python -m pip install -q --disable-pip-version-check pip-audit==2.10.1; }
	@.venv/advisories/bin/pip-audit --strict --no-deps --disable-pip --progress-spinner off \
	  $(foreach file,$(PINS) requirements-dev.txt,-r $(file)) || { echo 'make audit: a package of ours has an advisory, or none could be asked for: \
see above. Without the internet nothing can be said about packages.' >&2; exit 1; }

types: .venv/.ready-for-test
	$(WITH_SERVICES) --without-services -- python -m mypy

unit: .venv/.ready-for-test
	$(WITH_SERVICES) -- python -m pytest tests/unit $(ARGS)

# What runs in a target's interpreter.
agent: .venv/.ready-for-test
	$(WITH_SERVICES) --programs -- python -m pytest tests/integration/agent --ignore=tests/integration/agent/reading \
	  $(NOT_SLOW) $(ARGS)

# What it reads there: inspections, plans, examinations, and whether findings are true of a server.
agent-reading: .venv/.ready-for-test
	$(WITH_SERVICES) --programs -- python -m pytest tests/integration/agent/reading $(NOT_SLOW) $(ARGS)

# The same on every Django and Python that targets may have; which, and where they are found: tests/versions.
versions: .venv/.ready-for-test
	$(VENV_PYTHON) -m tests.versions.prepare
	$(WITH_SERVICES) -- python -m pytest tests/versions $(ARGS)

# Everything around it: rows, pages, jobs.
integration: .venv/.ready-for-test
	$(WITH_SERVICES) --programs -- python -m pytest tests/integration --ignore=tests/integration/agent \
	  --ignore=tests/integration/run $(NOT_SLOW) $(ARGS)

# Whole processes and servers that come and go: `make run`, workers, the prober, ssh, a second host, full disks.
integration-run: .venv/.ready-for-test
	$(WITH_SERVICES) --programs -- python -m pytest tests/integration/run $(NOT_SLOW) $(ARGS)

browser: .venv/.ready-for-test
	$(WITH_SERVICES) --browser -- python -m pytest tests/browser $(NOT_SLOW) $(ARGS)

# What takes long, and has a fast form in the others.
slow: .venv/.ready-for-test
	$(WITH_SERVICES) --programs --browser -- python -m pytest tests/integration tests/browser -m slow $(ARGS)

# Which faults, and what must hold after each: docs/faults.md.
faults: .venv/.ready-for-test
	$(WITH_SERVICES) --programs -- python -m pytest tests/faults $(ARGS)

faults-fast: .venv/.ready-for-test
	$(WITH_SERVICES) --programs -- python -m pytest tests/faults -m "not slow" $(ARGS)

# What docs/benchmarks.md has its figures from.
benchmarks: .venv/.ready-for-test
	$(WITH_SERVICES) -- python -m benchmarks.migrate $(ARGS)
	$(WITH_SERVICES) -- python -m benchmarks.inspection
	$(WITH_SERVICES) -- python -m benchmarks.plan
	$(WITH_SERVICES) -- python -m benchmarks.refresh
	$(WITH_SERVICES) -- python -m benchmarks.overview
	$(WITH_SERVICES) -- python -m benchmarks.viewers
	$(WITH_SERVICES) -- python -m benchmarks.printing
	$(WITH_SERVICES) --browser -- python -m benchmarks.viewer

# These two need a Docker engine and are not part of `make test`.
containers: .venv/.ready-for-test
	$(WITH_SERVICES) -- python -m pytest tests/containers $(ARGS)

compose-smoke:
	@python="$$(sh embedded/find-python.sh)" && exec "$$python" -m tests.compose.smoke

clean-state:
	@python="$$(sh embedded/find-python.sh)" && exec "$$python" -m embedded.clean

# Looked at again when a pinned file changed, installed again only when its content did.
.venv/.ready-for-run: $(PINS)
	@python="$$(sh embedded/find-python.sh)" && "$$python" -m embedded.bootstrap run

.venv/.ready-for-test: $(PINS) requirements-dev.txt
	@python="$$(sh embedded/find-python.sh)" && "$$python" -m embedded.bootstrap test
