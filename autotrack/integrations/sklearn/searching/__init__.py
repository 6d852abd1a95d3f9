"""Parameter searches: results, candidates, and how far they are."""
