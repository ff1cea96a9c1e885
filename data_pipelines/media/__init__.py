"""Reads and writes video, sound and images."""
