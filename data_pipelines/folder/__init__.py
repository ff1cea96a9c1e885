"""Any folder of a person's own videos as a corpus."""
