"""Runs and videos scored by the metrics."""
