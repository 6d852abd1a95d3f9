"""After the fit: predictions, scores, metrics, displays, and which run they belong to."""
