"""Errors, files, downloads, processes and progress for all other packages."""
