"""The same everyday scripts under MLflow's autolog and under autotrack, and what each of them recorded, side by side.

``python -m benchmarks.side_by_side`` or ``make compare-mlflow``; the result stands in ``docs/compare-mlflow.md``.
"""
