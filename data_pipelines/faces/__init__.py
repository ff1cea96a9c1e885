"""Finds, tracks, aligns and measures faces."""
