"""The authors' released weights, and their file format."""
