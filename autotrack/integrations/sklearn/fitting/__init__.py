"""Fits: what is looked at before and after, and what a fit leaves behind; loops of fits."""
