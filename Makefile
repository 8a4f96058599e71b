# Each target makes .venv when it is missing, installs the project and does its job.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test bench lint clean

demo: .venv/ready
	$(BIN)/saliency-bench run tavdiff --modes TAV,AV,V --datasets avt-causal

test: .venv/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

bench: .venv/ready
	$(BIN)/python -m pytest tests/bench/bench_*.py --benchmark-only -q --benchmark-columns=median,iqr,rounds

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/mypy

.venv/ready: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	touch $@

clean:
	rm -rf .venv build dist *.egg-info runs
