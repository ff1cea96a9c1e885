"""Convolutions by the algorithm that is fastest on each platform."""
