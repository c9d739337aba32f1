# `make` alone prints the menu.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := menu
.PHONY: menu run install test lint bench ratios study soak mutants foreign docs board clean

# Hours rather than minutes, with targets of their own; and parts of other benchmarks.
LONG   := benchmarks/server.py benchmarks/readers.py benchmarks/study.py benchmarks/soak.py benchmarks/soak_links.py benchmarks/soak_twin.py benchmarks/soak_fuzz.py benchmarks/soak_kills.py benchmarks/soak_endurance.py benchmarks/mutants.py benchmarks/starts.py benchmarks/upstream.py benchmarks/wire_table.py benchmarks/__init__.py

menu:  ## this menu
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

$(VENV)/.run: pyproject.toml
	@echo "installing what running needs into $(VENV): about a minute …"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.test: pyproject.toml
	@echo "installing what running and testing need into $(VENV): about two minutes …"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/.run

run: $(VENV)/.run  ## recognise ten handwritten digits on the simulated neuron
	$(BIN)/hil run --digits 0:10
	@echo
	@echo "next:  $(BIN)/hil report latest      what happened, slot by slot, as a page"
	@echo "       $(BIN)/hil bench init         what of a real bench is connected here"

install: $(VENV)/.test  ## set up .venv with what running and testing need

lint: $(VENV)/.test  ## ruff, mypy and import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint  ## lint, then the whole test suite, on all cores
	$(BIN)/pytest -n auto --dist worksteal

bench: $(VENV)/.test  ## benchmarks: ratios against named rivals
	for b in $(filter-out $(LONG),$(wildcard benchmarks/*.py)); do $(BIN)/python -m benchmarks.$$(basename $$b .py) || exit 1; done

ratios: $(VENV)/.test  ## all that is measured beside a rival, in one run of some minutes
	$(BIN)/python -m benchmarks.ratios

study: $(VENV)/.test  ## calibration coverage on 200 simulated devices
	$(BIN)/python -m benchmarks.study

soak: $(VENV)/.test  ## hundreds of killed and resumed runs; a thousand hostile clients, and a thousand garbled conversations a link; a million spoilt inputs; two hundred ended commands; a walk past the endurance
	$(BIN)/python -m benchmarks.soak
	$(BIN)/python -m benchmarks.soak_twin
	$(BIN)/python -m benchmarks.soak_links
	$(BIN)/python -m benchmarks.soak_fuzz
	$(BIN)/python -m benchmarks.soak_kills
	$(BIN)/python -m benchmarks.soak_endurance --steps 100

mutants: $(VENV)/.test  ## do the tests notice when a module is wrong? A seeded sample of mutants of ten modules
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[mutants]'
	$(BIN)/python -m benchmarks.mutants

FOREIGN := .foreign
$(FOREIGN)/.there: $(VENV)/.test
	$(PYTHON) -m venv $(FOREIGN)
	$(FOREIGN)/bin/pip install --quiet --disable-pip-version-check qcodes python-vxi11 pymeasure easy-scpi pyvisa-py gpiozero pigpio pytest
	$(FOREIGN)/bin/pip download --quiet --no-deps --no-binary :all: --dest $(FOREIGN) gpiozero && mkdir -p $(FOREIGN)/gpiozero && tar xzf $(FOREIGN)/gpiozero-*.tar.gz -C $(FOREIGN)/gpiozero --strip-components 1
	-npm install --silent --prefix $(FOREIGN) pigpio-client
	@touch $@

foreign: $(FOREIGN)/.there  ## other people's clients against the twin (and apt install sigrok-cli lxi-tools pigpio-tools)
	$(BIN)/pytest -m foreign tests/foreign

docs: $(VENV)/.run  ## draw the pictures of the documentation again
	$(BIN)/python docs/make_pictures.py
	$(BIN)/python docs/make_screens.py

board: $(VENV)/.test  ## draw the board, simulate it (ngspice) and fill the tables of its page again
	$(BIN)/python -m board.page

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) $(FOREIGN) .mypy_cache .ruff_cache .pytest_cache .hypothesis
