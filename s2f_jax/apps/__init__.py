"""Applications that are served as web pages: the live demo and user studies."""
