# Two commands: `make demo` does the whole job on the shipped model, `make test` checks everything.
# What tests may not skip for: names of tests/conftest.py.
REQUIRED ?= lava
PYTHON ?= python3.11
# As on a Loihi host; the exported folder is tested on it where one is present.
PYTHON310 ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.10.*/bin/python3.10) python3.10)
BIN := .venv/bin
READY := .venv/.ready
MODEL := models/kjv-spike-driven.pt

.PHONY: demo test clean

demo: $(READY)
	$(BIN)/spikegpt export $(MODEL) --target nir --out demo/nir
	$(BIN)/spikegpt export $(MODEL) --target loihi --out demo/loihi
	$(BIN)/spikegpt simulate demo/nir/model.nir --tokens 1000 --verify $(MODEL)
	$(BIN)/spikegpt verify demo/loihi --tokens 64
	$(BIN)/spikegpt energy-report $(MODEL) --out demo

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	SPIKEGPT_REQUIRE="$(REQUIRED)" OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

# torch first and by version: another range would pull the newest build with CUDA. lava-nc declares Python < 3.11 but
# runs on newer with exporters/loihi/lava/compat.py; its other requirements are pinned too low, hence --no-deps. The last
# lines are what the tests compare with, and a Loihi host's environment for the exported folder.
$(READY): pyproject.toml Makefile
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev,lava]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python "lava-nc==0.10.0"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python "norse==1.1.0" "nirtorch==2.6" "spikingjelly==2.0.0" "neurobench==2.3.0" "lava-dl==0.6.0" "lm-eval==0.4.13"
	if $(PYTHON310) -c "" 2>/dev/null; then $(PYTHON310) -m venv .venv/lava310 && .venv/lava310/bin/python -m pip install --quiet --disable-pip-version-check "lava-nc==0.10.0" || rm -rf .venv/lava310; fi
	touch $@

clean:
	rm -rf .venv demo
