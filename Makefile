# make run    the server on the demo model          make check   format, lint, types, tests
# make test   everything that CI runs               make fix     format and mend what can be mended

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test check fix test-tools

run: $(VENV)/installed-cpu
	$(BIN)/edgevlm serve

test: check

check: $(VENV)/installed-test test-tools
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest

# a browser and Node's packages; does nothing where they are
test-tools:
	tests/install_tools

fix: $(VENV)/installed-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/installed-%: pyproject.toml
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	touch $@
