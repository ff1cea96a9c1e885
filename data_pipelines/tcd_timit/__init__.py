"""The TCD-TIMIT corpus."""
