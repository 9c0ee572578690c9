# Two commands: `make demo` does the whole job on the shipped model, `make test` checks everything.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/.ready
MODEL := models/kjv-spike-driven.pt

.PHONY: demo test clean

demo: $(READY)
	$(BIN)/spikegpt export $(MODEL) --target nir --out demo/nir
	$(BIN)/spikegpt export $(MODEL) --target loihi --out demo/loihi
	$(BIN)/spikegpt simulate demo/nir/model.nir --tokens 1000 --verify $(MODEL)
	$(BIN)/spikegpt simulate demo/loihi/model-int8.nir --tokens 64 --backend lava
	$(BIN)/spikegpt energy-report $(MODEL) --out demo

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	SPIKEGPT_REQUIRE_LAVA=1 $(BIN)/python -m pytest

# torch first and by version: another range would pull the newest build with CUDA. lava-nc declares Python < 3.11 but
# runs on newer with exporters/loihi/compat.py; its other requirements are pinned too low, hence --no-deps. The last line
# is what the tests compare with.
$(READY): pyproject.toml Makefile
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev,lava]"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --ignore-requires-python "lava-nc==0.10.0"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps "norse==1.1.0" "nirtorch==2.6" "spikingjelly==2.0.0"
	touch $@

clean:
	rm -rf .venv demo
