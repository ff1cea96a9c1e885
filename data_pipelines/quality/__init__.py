"""Quality control of prepared shards."""
