"""Turns raw clips into shards of aligned examples."""
