"""Scores of clips to the files and pages of a report."""
