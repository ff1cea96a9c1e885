"""Metrics of videos: arrays in, numbers out."""
