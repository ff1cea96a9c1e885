"""Provenance of generated videos: metadata, sidecars, C2PA signatures, the visible badge."""
