"""A trained generator in use, offline and live."""
