"""A corpus of talking heads drawn by code."""
