# Everything lives in .venv; `make demo` and `make test` work in a fresh clone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Spinning OpenMP threads make everything several times slower on small machines.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test test-fast lint types docs check install lock clean

demo: $(STAMP)
	$(BIN)/motionloom demo --output demo

test: $(STAMP)
	$(BIN)/python -m pytest --durations=40 --durations-min=5

test-fast: $(STAMP)
	$(BIN)/python -m pytest -m "not slow and not clips"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

# -W: a warning is an error; -n: so is a reference that leads nowhere. Nothing is asked of a network.
docs: $(STAMP)
	$(BIN)/python -m sphinx -q -W --keep-going -n -c docs . site

check: lint types docs test

install: $(STAMP)

# --no-compile: most of 8 GB of packages is never imported; what is gets its bytecode on first import.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v <= (3, 12) else f"motionloom needs Python 3.10 to 3.12, {sys.executable} is {v[0]}.{v[1]}; call make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(STAMP)

# Resolves pyproject.toml anew for every supported Python; pinned names only, no addresses.
lock: $(STAMP)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.10 --no-header --no-annotate --extra dev --upgrade pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) demo site build *.egg-info .pytest_cache .mypy_cache .ruff_cache
