"""What can be trained: the generator against its discriminators, a lip reader, a sync network."""
