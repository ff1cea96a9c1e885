"""A trained model to a folder that runs without this code."""
