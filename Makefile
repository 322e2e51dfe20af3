# make demo: see it work. make test: install what the tests need, and pass them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BIND ?= 127.0.0.1:8000
# Many tests wait for processes and sockets, but some measure time: two at once are faster, and still leave them room.
JOBS ?= 2
NEEDED := redis-server nginx chromium curl node npm wrk go
MODULES := tests/browser/node_modules
PEERS := bench/peers/node_modules

.PHONY: demo test check fuzz fmt lock bench services modules

demo: $(VENV)/installed
	$(BIN)/authsvc demo --bind $(BIND)

test: $(VENV)/installed-dev services modules check

# Format, lint, types, and every test with complete branch coverage of authsvc/.
check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest --numprocesses $(JOBS) --dist worksteal --cov --cov-report=term

# authsvc beside its peers, about 25 minutes; ONLY=issue,verify for parts, QUICK=1 for a short look that is not kept.
bench: $(VENV)/installed-dev services modules
	$(BIN)/python -m bench $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick)

# The long form of the fuzzing, from a random seed: more than 10 000 cases, 720 for each test.
fuzz: $(VENV)/installed-dev
	FUZZ_CASES=720 $(BIN)/pytest --numprocesses $(JOBS) tests/test_fuzz.py

fmt: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The pins that an image installs from: hash-checked, and without the address of any index.
lock: $(VENV)/installed-dev
	$(BIN)/pip-compile --quiet --strip-extras --generate-hashes --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  --no-header --allow-unsafe --extra granian --output-file deploy/requirements.lock pyproject.toml

# Real programs that the tests run against. Without the rights to install them their tests are skipped, visibly;
# with AUTHSVC_REQUIRE_SERVICES=1 they fail.
services:
	@missing=(); for name in $(NEEDED); do command -v $$name >/dev/null || PATH=$$PATH:/usr/sbin command -v $$name >/dev/null || missing+=($$name); done; \
	if [ $${#missing[@]} -gt 0 ] && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  echo "installing $${missing[*]}"; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$(printf '%s ' "$${missing[@]}" | sed 's/\bnode\b/nodejs/; s/\bgo\b/golang-go/'); \
	elif [ $${#missing[@]} -gt 0 ]; then echo "not installed, their tests are skipped: $${missing[*]}"; fi

# npm packages that the tests of the browser module run beside it, and the benchmark's peers; without npm they are
# skipped, visibly.
modules:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(MODULES)/installed $(PEERS)/installed; else echo "no npm: the tests of the browser module are skipped"; fi

%/node_modules/installed: %/package-lock.json
	npm ci --prefix $* --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# Where Debian's python3 comes without venv, and we may, install that too.
$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV) || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq python3-venv && $(PYTHON) -m venv $(VENV); }

$(VENV)/installed: pyproject.toml | $(VENV)/bin/pip
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[sandbox]'
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(VENV)/bin/pip
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/installed
