"""The plots of a fit, worked out as data."""
