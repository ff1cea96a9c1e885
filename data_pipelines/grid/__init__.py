"""The GRID corpus."""
