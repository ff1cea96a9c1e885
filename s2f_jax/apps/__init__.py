"""Servers of pages: a live demo, and user studies."""
