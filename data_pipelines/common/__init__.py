"""Errors, files, downloads and worker processes, for everything else."""
