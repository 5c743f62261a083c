# One command each, on a fresh machine: every target sets up what it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
FUSIONDX_DATA ?= $(abspath ../shared/data)
export FUSIONDX_DATA

.PHONY: all demo test test-slow coverage pythons check docs experiments tables pairs benchmarks clean

all: check test demo

$(VENV)/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet -e ".[docs,lite0]"
	touch $@

# everything is executed afresh; the site is docs/_build/html
docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx -c docs -b html -W --keep-going -E . docs/_build/html

demo: $(VENV)/installed
	$(BIN)/fusiondx demo --out demo --overwrite

test: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2 --dist worksteal

test-slow: $(VENV)/installed
	$(BIN)/python -m pytest -m slow

# which lines the quick tests reach: fails below the share in pyproject.toml
coverage: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2 --dist worksteal --cov --cov-report=term:skip-covered

# the smoke tests on every Python there is of those we promise
pythons:
	.ci/pythons

check: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

ENCODERS := glioma/encoders_clinical glioma/encoders_omics nsclc_ct/encoders derm7pt/encoders
BEST := glioma/best glioma/best_idh1 nsclc_ct/best nsclc_ct/best_l1_to_l2 nsclc_ct/best_l2_to_l1 derm7pt/best
EXPERIMENTS := glioma/survival glioma/idh1 glioma/segmentation nsclc_ct/survival nsclc_ct/l1_to_l2 nsclc_ct/l2_to_l1 \
	derm7pt/melanoma $(BEST) $(ENCODERS)

experiments: $(addprefix runs/,$(EXPERIMENTS)) runs/derm7pt/bags
	$(BIN)/python configs/results.py runs

runs/%: configs/%.yaml $(VENV)/installed
	$(BIN)/fusiondx run $< --data $(FUSIONDX_DATA)/$(firstword $(subst /, ,$*)) --out $@ --overwrite

runs/derm7pt/bags: configs/derm7pt/bags.yaml $(VENV)/installed
	$(BIN)/python configs/derm7pt/patches.py $(FUSIONDX_DATA)/derm7pt runs/patches
	$(BIN)/fusiondx run $< --data runs/patches --out $@ --overwrite

tables: pairs $(addprefix runs/,$(ENCODERS)) runs/derm7pt/bags
	$(BIN)/python docs/encoders.py runs

# every fusion with every head, in a minute and without data: docs/fusions.md
pairs: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore tests/journeys/test_pairs.py

benchmarks: $(VENV)/installed
	$(BIN)/python benchmarks/fit_throughput.py
	$(BIN)/python benchmarks/inference_throughput.py
	$(BIN)/python benchmarks/image_cache.py
	$(BIN)/python benchmarks/embed_once.py
	$(BIN)/python benchmarks/parallel_folds.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/metrics.py

clean:
	rm -rf $(VENV) .venv-3.* demo runs build docs/_build docs/reference *.egg-info
