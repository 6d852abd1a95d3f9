"""Evaluations that fit clones: ``cross_val_score`` and its kin."""
