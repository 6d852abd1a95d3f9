"""Plots as data: what a figure shows, kept as small JSON among a run's artifacts and drawn when somebody asks.

``data`` makes plots, ``files`` reads and writes them, ``points`` keeps them small, ``drawing`` makes figures of them
and is the only one that imports matplotlib.
"""

from __future__ import annotations
