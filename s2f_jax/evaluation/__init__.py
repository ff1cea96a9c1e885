"""Evaluation: scores runs, networks that score others, and folders of videos, and writes reports."""
