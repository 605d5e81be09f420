# Every target sets up .venv by itself, and re-uses it until pyproject.toml or constraints.txt change.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-all bench examples web clean

# timm and torchvision, which models are compared with, are apart from the rest: torchvision breaks
# what finds it beside a CPU build of torch (tests/models/reference.py).
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps --upgrade \
		--target .venv/reference timm torchvision
	touch $@

demo: .venv/ready
	$(BIN)/maquette demo

# Each of two begins with a half of the tests, so that what a folder's tests share is made but once.
PYTEST := $(BIN)/pytest --numprocesses 2 --dist worksteal

test: .venv/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(PYTEST)

test-all: .venv/ready
	$(PYTEST) -m 'slow or not slow'

bench: .venv/ready
	$(BIN)/python -m benchmarks

examples: .venv/ready
	$(BIN)/python examples/make.py

# The simulation as a page: a folder for any web server. It needs npm, and the first time a network.
web: .venv/ready
	$(BIN)/python -m maquette.web build/web

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache
