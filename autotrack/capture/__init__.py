"""The hot path: everything that runs inside the user's process while it trains."""
