# Two commands matter: `make run` shows the engine at work, `make test` proves it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := aiops detectors ingest api models tests benchmarks

.PHONY: setup run test check bench clean servers lock

setup: $(VENV)/.runtime

# Pinned and hashed; the project itself is installed without asking any index again.
$(VENV)/.runtime: requirements.txt requirements-hnsw.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "aiops-engine needs Python 3.11 or newer; say which with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --require-hashes -r requirements-hnsw.txt || echo "hnswlib, which has to be compiled, could not be had: similarity looks through 100000 windows at most"
	touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	touch $@

run: setup
	$(BIN)/aiops demo

# Format, lint, types, import contracts, unit tests: everything that needs no other server. Three
# workers are for two cores: many tests wait for time to pass.
check: $(VENV)/.dev
	$(BIN)/ruff format --check $(PACKAGES)
	$(BIN)/ruff check $(PACKAGES)
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/pytest -q -n 3 --dist loadfile -m "not server"

# The uncompiled run covers kernels line by line; the server tests drive real programs.
test: check servers
	NUMBA_DISABLE_JIT=1 $(BIN)/pytest -q tests/detectors detectors -m "not compiled"
	$(BIN)/pytest -q -m server tests

# Real servers for the tests: Debian's Prometheus, and a second, newer one beside it. Never fails:
# what is missing is said by the tests, which fail under CI rather than skip.
servers:
	@sh tests/server/install.sh

# Measures everything and rewrites the README's table; several minutes.
bench: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-peers.txt
	$(BIN)/python -m benchmarks.readme

# Rewrites the pins from pyproject.toml; needs `uv`.
lock:
	uv pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes --no-header -o requirements.txt
	echo 'hnswlib>=0.8' | uv pip compile - --no-deps --python-version 3.11 --generate-hashes --no-header -o requirements-hnsw.txt
	uv pip compile pyproject.toml --group build --group dev --universal --python-version 3.11 --generate-hashes --no-header -c requirements.txt -o requirements-dev.txt
	uv pip compile --group peers --universal --python-version 3.11 --generate-hashes --no-header -c requirements-dev.txt -o requirements-peers.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist data .servers
	find $(PACKAGES) -name __pycache__ -type d -prune -exec rm -rf {} +
