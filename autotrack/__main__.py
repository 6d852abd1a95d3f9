"""``python -m autotrack``."""

from autotrack.cli import main

if __name__ == "__main__":
    main()
