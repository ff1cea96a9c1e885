"""A corpus of your own videos."""
