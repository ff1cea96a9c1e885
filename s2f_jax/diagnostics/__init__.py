"""What is wrong with a machine or an input, and how fast it is."""
