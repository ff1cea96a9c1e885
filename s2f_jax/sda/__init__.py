"""Import and export of the generators that the paper's authors released for PyTorch."""
