"""Shards to training examples and batches."""
