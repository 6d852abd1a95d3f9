"""What autologging costs: scikit-learn alone, with autotrack, and with MLflow's autolog, side by side.

``python -m benchmarks`` runs everything; ``python -m benchmarks --help`` tells how to run a part.
"""
