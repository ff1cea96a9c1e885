"""The corpus TCD-TIMIT."""
