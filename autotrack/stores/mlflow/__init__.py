"""MLflow's formats: what our runs look like in them, and what its runs look like in ours.

``translation``, ``data`` and ``limits`` are pure functions and share no file or connection; the stores that use them
are beside them.
"""

from __future__ import annotations
