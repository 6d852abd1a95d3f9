"""autotrack: one line, and every scikit-learn fit of the script is a recorded run.

    import autotrack
    autotrack.autolog()

Names are resolved when they are first used (PEP 562): importing this package does no work and loads no third-party
package.
"""

from __future__ import annotations

__version__ = "0.1.0"
