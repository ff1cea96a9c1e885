"""Raw clips to aligned ones, in parallel and resumable, and to shards."""
