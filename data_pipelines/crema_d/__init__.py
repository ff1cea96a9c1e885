"""The corpus CREMA-D."""
