# `make serve` and `make test` install everything they need into .venv, and nothing elsewhere.

SHELL := /bin/bash
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $$p && break; done)
TEST_PYTHON ?= python3.11
BIN := .venv/bin
BUILT_OF := pyproject.toml setup.py $(wildcard service/rendering/native/*)

.PHONY: serve wheel test test-ray lint format parity torchscript docs docs-site open-weights audit clean

serve: .venv/serving ## run the service on http://127.0.0.1:8000
	$(BIN)/nightlift serve

wheel: .venv/serving ## build the wheel into dist/
	rm -rf build/lib build/bdist.*
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

test: .venv/testing ## run the tests
	$(BIN)/python -m pytest --numprocesses 2 $(PYTEST_ARGS)

test-ray: .venv/testing ## install Ray, and test the job of `nightlift bulk` on it locally
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[ray]'
	$(BIN)/python -m pytest tests/nightlift/bulk_on_ray.py $(PYTEST_ARGS)

lint: .venv/testing ## check style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/testing ## format the code and fix its style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

parity: .venv/testing ## compare every served model with its network at 400x600, and write the report
	$(BIN)/python -m export.parity

torchscript: .venv/testing ## export the TorchScript variant of every model from its weights
	$(BIN)/python -m export.torchscript

docs: .venv/testing ## regenerate the tables and pictures of the documents
	$(BIN)/python -m docs.make_tables
	$(BIN)/python -m docs.make_pictures
	$(BIN)/python -m docs.make_house_pictures nightlift
	$(BIN)/python -m docs.make_contact_sheet
	$(BIN)/python -m docs.make_samples

docs-site: .venv/serving ## build the documents as a site into build/site, and check its links
	test -x build/site-venv/bin/mkdocs || { $(BIN)/python -m venv build/site-venv && build/site-venv/bin/pip install --quiet 'mkdocs-material>=9.7,<10'; }
	$(BIN)/python -m docs.make_site
	NO_MKDOCS_2_WARNING=1 build/site-venv/bin/mkdocs build --strict --quiet

open-weights: .venv/testing ## download freely licensed pictures, train weights on them that anyone may use, and export them
	$(BIN)/python -m training.datasets.gather --permissive data/open
	$(BIN)/python -m training.datasets.make_open data/open
	$(BIN)/nightlift train nightlift_open --data data/open --out runs/nightlift_open
	$(BIN)/nightlift export runs/nightlift_open/best.pt --to model_repository --name nightlift_open --option smoothing=0.5 --option detail_gain=1 --format onnx
	$(BIN)/python -m training.datasets.attribution data/open | tee model_repository/nightlift_open/ATTRIBUTION > model_repository/nightlift_open_map/ATTRIBUTION

audit: .venv/testing ## list the licences and known vulnerabilities of the packages in the image
	test -x build/audit-venv/bin/pip-audit || { $(BIN)/python -m venv build/audit-venv && build/audit-venv/bin/pip install --quiet pip-audit; }
	$(BIN)/python docker/audit.py build/audit-venv/bin/pip-audit

clean: ## remove everything that the other targets created in this folder
	rm -rf .venv build *.egg-info service/rendering/libkernels.so

.venv/serving: $(BUILT_OF)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

# torch's CPU build is pinned exactly and installed first; otherwise pip could choose a build with gigabytes of CUDA.
.venv/testing: $(BUILT_OF)
	test -x $(BIN)/python || $(TEST_PYTHON) -m venv .venv
	$(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "tests and training need Python 3.11: make clean, then make test")'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	touch $@ .venv/serving
