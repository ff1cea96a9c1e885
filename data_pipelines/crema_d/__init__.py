"""The CREMA-D corpus."""
