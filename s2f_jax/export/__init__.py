"""Exporters from a checkpoint to a bundle."""
