# Each target sets up a virtual environment by itself, and again when the requirements change. Variables, as in `make test EXTRAS=dev,all`:
PYTHON ?= python3
VENV ?= .venv
# Extras of ppr to install. Without those of the methods, tests that need them are skipped and say so; `all` costs a gigabyte of Ray and open3d.
EXTRAS ?= dev
# A change in the source is there at once; HOW= installs a copy.
HOW ?= --editable
DEMO ?= demo
BIN := $(VENV)/bin
READY := $(VENV)/.ready-$(EXTRAS)
PHOTO := methods/saliency/demo/parrot.jpg

.PHONY: demo test fast fuzz lint clean

demo: $(READY)  ## masks of a bundled photo, a chair with its picture, and three trained agents at work, into demo/
	$(BIN)/ppr saliency infer $(PHOTO) --as mask --as cutout --as overlay -o $(DEMO)/ --overwrite
	$(BIN)/ppr imnet mesh --out $(DEMO)/chair.obj --preview $(DEMO)/chair.png --overwrite
	$(BIN)/ppr codedmarl infer --gif $(DEMO)/spread.gif --overwrite

test: $(READY)  ## a worker a core
	$(BIN)/python -m pytest

fast: $(READY)  ## without the tests marked slow: mostly those that train, or start processes to kill them
	$(BIN)/python -m pytest -m 'not slow'

fuzz: $(READY)  ## the property tests, with twenty times the examples
	$(BIN)/python -m pytest -m hypothesis --hypothesis-profile fuzz

lint: $(READY)  ## mypy looks at an installed copy, because the folders here do not lie as the packages are named
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf build $(VENV)/copy
	$(BIN)/python -m pip install --quiet --no-deps --target $(VENV)/copy .
	rm -rf build
	MYPYPATH=$(VENV)/copy $(BIN)/mypy -p ppr.cli -p ppr.exports -p ppr.methods

# torch comes first, pinned: the rest then takes the build that pip chose (or that PIP_EXTRA_INDEX_URL offers) instead of another one.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ppr needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo 'on Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt $(HOW) '.[$(EXTRAS)]'
	touch $(READY)

clean:
	rm -rf $(VENV) build dist $(DEMO) ppr.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
