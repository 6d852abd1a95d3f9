"""The tracking server beside ``mlflow server``: ``python -m benchmarks.server``."""
