# make demo: sets up and runs the main job on simulated recordings; make test: sets up and tests.
# make bench: runs all benchmarks but those that have to be told something, or rest on real files.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1

NEED_ARGUMENTS := inflation int8 reach seizure_types
NEED_REAL_FILES := sleep_table
PARTS_OF_OTHERS := deploy_forms
NOT_RUN := $(NEED_ARGUMENTS) $(NEED_REAL_FILES) $(PARTS_OF_OTHERS)
BENCHMARKS := $(filter-out $(NOT_RUN:%=benchmarks/%.py),$(wildcard benchmarks/*.py))

.PHONY: demo test lint check bench fuzz clean

demo: $(VENV)/ready
	$(BIN)/ranvier demo --out demo

test: $(VENV)/ready
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(VENV)/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

bench: $(VENV)/ready
	for script in $(BENCHMARKS); do echo "$$script"; $(BIN)/python $$script || exit 1; done

fuzz: $(VENV)/ready
	$(BIN)/python -m pip install --quiet atheris==3.0.0
	for reader in edf events profusion chb_summary chb_seizures; do \
		$(BIN)/python fuzz/run.py $$reader -max_total_time=120 || exit 1; done

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e ".[dev]" -c constraints.txt
	touch $@

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache
