"""The measured processes: each runs one variant and answers in JSON."""
