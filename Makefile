# Each target sets up .venv by itself, and again when the requirements change. PYTHON=python3.12 make … takes another interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PHOTO := methods/saliency/demo/parrot.jpg

.PHONY: demo test lint clean

demo: $(READY)  ## masks of a bundled photo, a chair with its picture, and three trained agents at work, into demo/
	$(BIN)/ppr saliency infer $(PHOTO) --as mask --as cutout --as overlay -o demo/ --overwrite
	$(BIN)/ppr imnet mesh --out demo/chair.obj --preview demo/chair.png --overwrite
	$(BIN)/ppr codedmarl infer --gif demo/spread.gif --overwrite

test: $(READY)
	$(BIN)/python -m pytest

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
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

clean:
	rm -rf $(VENV) build dist demo ppr.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
