# `make demo` and `make test` need nothing but Python 3.11+ and a network the first time.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2
TESTS ?= tests

.PHONY: help demo test test-oldest check format bench bench-serving bench-server compare-mlflow clean

help:
	@echo "make demo            install into $(VENV), train on real data, show the recorded runs"
	@echo "make test            run the tests against the newest scikit-learn, pandas and numpy"
	@echo "make test-oldest     run them against the oldest supported ones, in $(VENV)-oldest"
	@echo "make check           format, lint, types, import rules"
	@echo "make format          mend what can be mended of format and lint"
	@echo "make bench           measure what autologging costs, beside MLflow's"
	@echo "make bench-serving   a model behind a URL, beside MLflow's server, under the same load"
	@echo "make bench-server    the tracking server beside MLflow's, over the same kind of database"
	@echo "make compare-mlflow  what both record of the same scripts, into docs/compare-mlflow.md"

$(VENV)/.base: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $@

$(VENV)/.mlflow: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[mlflow]"
	@touch $@

$(VENV)/.bench: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[bench]"
	@touch $@

# A client of MLflow 2, which cannot stand beside the newest one.
$(VENV)-mlflow2/.done:
	$(PYTHON) -m venv $(VENV)-mlflow2
	$(VENV)-mlflow2/bin/python -m pip install --quiet --disable-pip-version-check "mlflow-skinny<3" scikit-learn pandas matplotlib "setuptools<81"
	@touch $@

$(VENV)-oldest/.dev: pyproject.toml tests/oldest.txt
	$(PYTHON) -m venv $(VENV)-oldest
	$(VENV)-oldest/bin/python -m pip install --quiet --disable-pip-version-check -e ".[test]" -c tests/oldest.txt
	@touch $@

demo: $(VENV)/.base
	@for point in "0.05 0.05" "0.01 0.01" "0.01 0.75" "0.01 1.0" "0.05 1.0"; do \
		echo "\$$ python examples/train_diabetes.py $$point"; \
		$(BIN)/python examples/train_diabetes.py $$point || exit 1; \
	done
	@echo
	@echo "\$$ autotrack runs --limit 5"
	@$(BIN)/autotrack runs --limit 5
	@echo
	@echo "Five runs, recorded by one line in the script. What to type next:"
	@echo "  . $(BIN)/activate"
	@echo "  autotrack show latest                             everything about the last run"
	@echo "  autotrack runs --filter 'metrics.r2_score_test_x > 0.4' --order-by 'metrics.r2_score_test_x DESC'"
	@echo "  autotrack compare \$$(autotrack runs --limit 2 --columns run_id --format csv | tail -n +2)"
	@echo "  autotrack plot latest --out figures               its plots as pictures"
	@echo "  autotrack run examples/plain_script.py 0.5        a script without a line of autotrack in it"
	@echo "  python examples/search_wine.py                    a search, its candidates, held-out metrics"
	@echo "  python -c \"import autotrack; print(autotrack.get_run('latest').model())\""

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) $(TESTS)

test-oldest: $(VENV)-oldest/.dev
	$(VENV)-oldest/bin/python -m pytest -n $(WORKERS) $(TESTS)

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.mlflow
	$(BIN)/python -m benchmarks --out bench-results.json

bench-server: $(VENV)/.bench
	$(BIN)/python -m benchmarks.server --out bench-server.json

bench-serving: $(VENV)/.bench
	$(BIN)/python -m benchmarks.serving --out bench-serving.json

compare-mlflow: $(VENV)/.mlflow
	$(BIN)/python -m benchmarks.side_by_side --write docs/compare-mlflow.md

clean:
	rm -rf $(VENV) $(VENV)-oldest $(VENV)-mlflow2 .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis bench-results.json bench-serving.json bench-server.json
