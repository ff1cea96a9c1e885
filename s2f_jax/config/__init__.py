"""Configs: how they are read, and which values their fields take."""
