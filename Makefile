# make demo: see it work. make test: install what the tests need, and pass them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BIND ?= 127.0.0.1:8000
# Many tests wait for processes and sockets, but some measure time: three at once on two cores still leave them room.
JOBS ?= 3
NEEDED := redis-server nginx chromium curl node npm openssl strace systemd-analyze promtool wrk go php javac
# What back ends in tests are made of: a file of each package of Debian's, and its name.
LIBRARIES := /usr/share/php/Illuminate:php-laravel-framework /usr/share/java/spring3-web.servlet.jar:libspring-web-servlet-java /usr/share/java/jetty9-servlet.jar:libjetty9-java
MODULES := tests/browser/node_modules
PEERS := bench/peers/node_modules
IMAGE := build/image
PYTHON_PEERS := build/peers
TRACED := build/traced
# What is measured runs on an optimized Python (PGO, LTO), as in an image: distributions build theirs so, pyenv does not.
DISTRIBUTION := /usr/bin/python3
MEASURED_PYTHON ?= $(shell $(DISTRIBUTION) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(DISTRIBUTION) || echo $(PYTHON))

.PHONY: demo test check fuzz campaign mutants floors bench docs release fmt lock services modules

demo: $(VENV)/installed
	$(BIN)/authsvc demo --bind $(BIND)

test: $(VENV)/installed-dev services modules check

# Format, lint, types, and every test with complete branch coverage of authsvc/.
check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest --numprocesses $(JOBS) --dist worksteal --cov --cov-report=term --durations=15

# authsvc beside its peers, about 40 minutes; ONLY=issue,verify for parts, QUICK=1 for a short look that is not kept.
bench: $(VENV)/installed-dev $(IMAGE)/installed $(TRACED)/installed $(PYTHON_PEERS)/installed services modules
	$(IMAGE)/bin/python -m compileall -q authsvc
	BENCH_PYTHON=$(CURDIR)/$(IMAGE)/bin/python BENCH_PEERS_PYTHON=$(CURDIR)/$(PYTHON_PEERS)/bin/python BENCH_TRACED_PYTHON=$(CURDIR)/$(TRACED)/bin/python $(BIN)/python -m bench $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick)

# The long form of the fuzzing, from a random seed: 720 cases for each operation in process and 360 over sockets, with
# the boundary values of the contract, and 4000 for each parser of what comes from outside.
PARSERS := $(patsubst %,tests/%.py,auth/test_authenticator auth/test_session_cookie auth/test_tokens payloads/test_payload \
  settings/test_apps_file settings/test_loader vendor/test_media_url vendor/test_usernames web/test_json_body web/test_presented)
FUZZ = $(BIN)/pytest --numprocesses $(JOBS) --dist worksteal
fuzz: $(VENV)/installed-dev
	FUZZ_CASES=720 $(FUZZ) tests/web/test_fuzz.py tests/processes/test_live_fuzz.py tests/sandbox/chat/test_hostile.py
	FUZZ_CASES=4000 $(FUZZ) $(PARSERS)

# The long forms of everything, under half an hour: a million steps of the model, 10 000 connections, a million payloads.
LONG = AUTHSVC_REQUIRE_SERVICES=1 $(BIN)/pytest --durations=5
campaign: $(VENV)/installed-dev services modules
	@echo "1/7 the model"; MODEL_STEPS=1000000 $(LONG) --numprocesses $(JOBS) tests/payloads/test_model.py
	@echo "2/7 fuzzing"; $(MAKE) --no-print-directory fuzz
	@echo "3/7 raw HTTP"; RAW_CASES=5000 $(LONG) tests/processes/test_raw_http.py tests/processes/test_sockets.py
	@echo "4/7 faults"; DUTIES_S=60 KILLS=8 LOAD_S=30 PAGES=1000 SIEGE_S=120 $(LONG) tests/processes/test_faults.py tests/processes/test_siege.py tests/auth/test_ask_app.py tests/processes/test_promises.py tests/processes/test_vendor_promises.py tests/stores tests/deploy/test_without_downtime.py tests/browser/test_storm.py
	@echo "5/7 soak"; SOAK_PAYLOADS=1000000 $(LONG) tests/processes/test_soak.py
	@echo "6/7 a thousand pages in the sandbox"; LOAD_S=60 $(LONG) -s tests/sandbox/test_load.py
	@echo "7/7 exposure, and the table of all this"; $(LONG) tests/processes/test_exposure.py tests/project/test_canaries.py tests/project/test_table.py

# Whether the tests would notice a change of the code: an hour for all parts of tests/support/mutants.py, half of it for those of
# Redis. Some of them: make mutants ONLY="limiter sqlite"
ONLY ?=
MUTANTS := build/mutants
mutants: | $(VENV)/bin/pip
	test -x $(MUTANTS)/bin/mutmut || { $(PYTHON) -m venv $(MUTANTS) && $(MUTANTS)/bin/pip install --quiet --disable-pip-version-check --editable '.[mutants]'; }
	$(MUTANTS)/bin/python -m tests.support.mutants $(JOBS) $(ONLY)

# The lowest and the newest versions of every library that pyproject.toml allows, each with a smoke test of half a minute.
FLOORS := build/floors
floors: $(VENV)/installed-dev
	for which in lowest-direct highest; do \
	  $(BIN)/uv venv --quiet --clear --python $(BIN)/python $(FLOORS)/$$which && \
	  $(BIN)/uv pip install --quiet --python $(FLOORS)/$$which/bin/python --resolution $$which --editable '.[granian]' && \
	  timeout 120 $(FLOORS)/$$which/bin/python -m tests.support.floors || exit 1; \
	done

# pip-audit ends well also if it learned nothing, and would have us believe that nothing is bad.
define SAY_AUDITED
import json, sys
pins = json.load(sys.stdin)["dependencies"]
skipped = [pin["name"] for pin in pins if "skip_reason" in pin]
print(f"pip-audit: {len(pins) - len(skipped)} of {len(pins)} pins are not known as bad")
if skipped:
    print("NOT AUDITED, because its data cannot be had here: " + " ".join(skipped))
endef
export SAY_AUDITED

# What is published: sdist, wheel, a bill of materials of what an image installs, and whether any of that is known as bad.
release: $(VENV)/installed-dev
	rm -rf dist && mkdir dist
	$(BIN)/python -m hatchling build -d dist
	$(PYTHON) -m venv dist/.image
	dist/.image/bin/pip install --quiet --disable-pip-version-check --require-hashes -r deploy/requirements.lock
	dist/.image/bin/pip install --quiet --disable-pip-version-check --no-deps dist/*.whl
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --of JSON -o dist/authsvc.cdx.json dist/.image/bin/python
	rm -rf dist/.image
	$(BIN)/pip-audit --disable-pip --require-hashes -r deploy/requirements.lock --format json -o dist/audit.json
	@$(BIN)/python -c "$$SAY_AUDITED" <dist/audit.json && rm dist/audit.json
	cd dist && sha256sum *.whl *.tar.gz *.json > SHA256SUMS && cat SHA256SUMS

# The pages of docs/ as a static site, with search in both languages; a warning fails it.
docs: $(VENV)/installed-dev
	$(BIN)/python docs/site/build.py build/site
	@echo "to read it: $(BIN)/python -m http.server --bind 127.0.0.1 --directory build/site"

fmt: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The pins that an image installs from, for every Python that is supported: hash-checked, and without the address of any
# index.
lock: $(VENV)/installed-dev
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --no-emit-find-links --extra granian --output-file deploy/requirements.lock pyproject.toml

# Real programs that the tests run against. Without the rights to install them their tests are skipped, visibly;
# with AUTHSVC_REQUIRE_SERVICES=1 they fail.
services:
	@missing=(); for name in $(NEEDED); do command -v $$name >/dev/null || PATH=$$PATH:/usr/sbin command -v $$name >/dev/null || missing+=($$name); done; \
	if [ $${#missing[@]} -gt 0 ] && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  echo "installing $${missing[*]}"; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$(printf '%s ' "$${missing[@]}" | sed 's/\bnode\b/nodejs/; s/\bgo\b/golang-go/; s/promtool/prometheus/; s/systemd-analyze/systemd/; s/\bphp /php-cli /; s/javac/default-jdk-headless/'); \
	elif [ $${#missing[@]} -gt 0 ]; then echo "not installed, their tests are skipped: $${missing[*]}"; fi
	@for library in $(LIBRARIES); do test -e $${library%:*} || { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $${library#*:}; } || echo "not installed, its tests are skipped: $${library#*:}"; done

# npm packages that the tests of the browser module run beside it, and the benchmark's peers; without npm they are
# skipped, visibly.
modules:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(MODULES)/installed $(PEERS)/installed; else echo "no npm: the tests of the browser module are skipped"; fi

%/node_modules/installed: %/package-lock.json
	npm ci --prefix $* --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# A virtual environment of a Python; where Debian's comes without venv, and we may, install that too.
define make_venv
	$(1) -m venv $(2) || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq python3-venv && $(1) -m venv $(2); }
endef

$(VENV)/bin/pip:
	$(call make_venv,$(PYTHON),$(VENV))

$(VENV)/installed: pyproject.toml | $(VENV)/bin/pip
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(VENV)/bin/pip
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/installed

# What an image has and no more, for the benchmark: some libraries look for others, which the tests need, and load them.
$(IMAGE)/installed: deploy/requirements.lock pyproject.toml
	rm -rf $(IMAGE)
	$(call make_venv,$(MEASURED_PYTHON),$(IMAGE))
	$(IMAGE)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r deploy/requirements.lock
	$(IMAGE)/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

# The same with the extra `otel`, for the benchmark of tracing.
$(TRACED)/installed: deploy/requirements.lock pyproject.toml
	rm -rf $(TRACED)
	$(call make_venv,$(MEASURED_PYTHON),$(TRACED))
	$(TRACED)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r deploy/requirements.lock
	$(TRACED)/bin/pip install --quiet --disable-pip-version-check --editable '.[otel]'
	@touch $@

# The benchmark's peers that are made of Python, on the same one.
$(PYTHON_PEERS)/installed: pyproject.toml
	rm -rf $(PYTHON_PEERS)
	$(call make_venv,$(MEASURED_PYTHON),$(PYTHON_PEERS))
	$(PYTHON_PEERS)/bin/pip install --quiet --disable-pip-version-check --editable '.[bench,granian]'
	@touch $@
