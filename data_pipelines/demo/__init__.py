"""The corpus drawn by code."""
