# Every target sets up .venv by itself, and re-uses it until pyproject.toml or constraints.txt change.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-all bench clean

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: .venv/ready
	$(BIN)/maquette demo

test: .venv/ready
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pytest --numprocesses 2

test-all: .venv/ready
	$(BIN)/pytest --numprocesses 2 -m 'slow or not slow'

bench: .venv/ready
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache
