"""The bundle format and the programs that run a bundle."""
