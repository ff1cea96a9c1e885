"""`s2f demo`: a web page where a visitor's picture speaks with their voice."""
