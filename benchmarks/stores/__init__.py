"""How fast stores take runs in and find them again, beside MLflow's own.

``python -m benchmarks --only stores --runs 100000 --store sqlite:////tmp/x.db`` measures one store, whatever its URI.
"""
