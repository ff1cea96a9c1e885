"""The paper's networks, one a file, and what builds them from a config."""
