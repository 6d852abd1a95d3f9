"""Trials of what must hold whoever is killed when: no run lost, none twice, every status right.

Programs are real processes, killed with SIGKILL at moments drawn from a seed; stores are real ones. ``python -m
benchmarks.soak`` runs the trials at length, ``tests/holding`` runs short ones.
"""
